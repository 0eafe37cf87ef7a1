"""Nested sampling of Gaussian shells in 10 dimensions (Feroz, Hobson & Bridges 2009, MNRAS 398, 1601, section 6.2).

400 live points, and nautilus' own 2000; mean of three seeds. blackjax's kernel has our numbers of inner steps and deletions,
dynesty and UltraNest draw by slices. Seconds are without compiling. A peer that is not installed is named in the table.
"""

from benchmarks.nested_sampling import PEERS, SHELLS, table

__all__ = ["run"]


def run() -> str:
    """The table, in Markdown."""
    return table(SHELLS, tuple(name for name in PEERS if name != "nautilus (400 live)"))
