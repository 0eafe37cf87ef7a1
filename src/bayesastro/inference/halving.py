"""How far means and sds move when a sampler without accept-reject steps is run at half its step.

Energy errors go with a high power of the step, so that at half the step nearly all of the bias is gone: the shift is
the bias, up to its Monte Carlo error.
"""

import numpy as np
from arviz_stats.base import array_stats

__all__ = ["halving_shift"]

RELAXATION = 0.1
"""First part of the run at half the step, in which the chains leave the biased distribution; dropped."""

MIN_DRAWS = 20


def halving_shift(draws: np.ndarray, checks: np.ndarray) -> dict[str, float]:
    """The largest shift of a coordinate's mean or sd, in posterior sds.

    Parameters
    ----------
    draws, checks : array, shape (chain, draw, size)
        At the whole step and at half of it.

    Returns
    -------
    dict
        ``halving_shift``, its Monte Carlo error ``halving_error``, and the greatest error of any coordinate's shift
        ``halving_error_max``; empty where the run at half the step is too short.
    """
    checks = checks[:, int(RELAXATION * checks.shape[1]) :]
    if checks.shape[1] < MIN_DRAWS:
        return {}
    mean, sd = draws.mean((0, 1)), draws.std((0, 1))
    sd = np.where(sd > 0, sd, 1.0)
    shifts, errors = [], []
    for power in (1, 2):
        # z and z²/2 of standardised draws: a shift of the sd by δ sds changes the mean of the second by δ.
        parts = [((array - mean) / sd) ** power / power for array in (draws, checks)]
        shifts.append(parts[1].mean((0, 1)) - parts[0].mean((0, 1)))
        first, second = (array_stats.mcse(part, chain_axis=0, draw_axis=1, method="mean") for part in parts)
        errors.append(np.hypot(first, second))
    shift, error = np.abs(np.concatenate(shifts)), np.concatenate(errors)
    worst = int(np.argmax(shift))
    return {
        "halving_shift": float(shift[worst]),
        "halving_error": float(error[worst]),
        "halving_error_max": float(np.nanmax(error)),
    }
