"""What arrays of counts must be."""

import numpy as np

__all__ = ["require_counts"]


def require_counts(counts: np.ndarray) -> None:
    """Raise where an array holds anything but whole numbers of at least 0.

    Raises
    ------
    ValueError
    """
    if not np.isfinite(counts).all() or (counts < 0).any() or (counts != np.round(counts)).any():
        raise ValueError("`counts` must be whole numbers, not below 0, and without NaN. Give counts, not rates.")
