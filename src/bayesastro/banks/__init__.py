"""Simulation banks: draws from a program with the data that it generated, on disk in any number.

`simulation` makes them, `bank` reads them; `store` is what stands on disk, `identity` whose draws they are.
"""

__all__: list[str] = []
