"""Cosmological programs: the expansion history from distances and clocks."""

__all__: list[str] = []
