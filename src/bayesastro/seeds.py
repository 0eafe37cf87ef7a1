"""Seeds: whole numbers that runs are repeated by."""

import numpy as np

from bayesastro.hints import told

__all__ = ["checked_seed"]


def checked_seed(seed: int) -> int:
    """The seed as an `int`.

    Raises
    ------
    ValueError
        If it is not a whole number from 0 to 2⁶³ − 1.
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"`seed` must be a whole number from 0 to 2⁶³ − 1, but {told(seed)} came.")
    return int(seed)
