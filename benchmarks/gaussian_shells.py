"""Nested sampling of Gaussian shells in 10 dimensions (Feroz, Hobson & Bridges 2009, MNRAS 398, 1601, section 6.2).

400 live points, and nautilus' own 2000; mean of three seeds. blackjax's kernel has our numbers of inner steps and deletions,
dynesty and UltraNest draw by slices. Seconds are the processor's, without compiling.
"""

from benchmarks.nested_sampling import SAMPLERS, SHELLS, contest
from benchmarks.report import Report

__all__ = ["run"]


def run() -> Report:
    """The table, and ratios to each peer."""
    left_out = ("nautilus (400 live)", "bayesastro, refined")
    return contest(SHELLS, tuple(name for name in SAMPLERS if name not in left_out))
