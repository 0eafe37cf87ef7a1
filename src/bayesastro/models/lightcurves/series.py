"""Time series on their way into a program: checked, and put in order of time."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayesastro.units import in_unit

__all__ = ["checked_pair", "checked_series", "near_transit"]


def checked_series(
    what: str, *, time: ArrayLike, sigma: ArrayLike, **columns: ArrayLike | None
) -> dict[str, np.ndarray]:
    """Columns in order of time; equal times keep theirs.

    Parameters
    ----------
    what : str
        Name of the series in errors.
    time, sigma : arrays, shape (n,)
        Plain numbers, as all columns.
    **columns : scalar or array, shape (n,), optional
        Scalars pass as they are; what is None is left out.

    Raises
    ------
    ValueError
        If `time` is no vector or empty, a column has another length or a value that is not finite, or an error is not
        positive.
    """
    times = in_unit(time, "", "time")
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"The {what} needs at least one time, in a vector, but an array of shape {times.shape} came.")
    order = np.argsort(times, kind="stable")
    found = {}
    for name, column in {"time": times, "sigma": sigma, **columns}.items():
        if column is None:
            continue
        values = np.asarray(column) if name == "mask" else in_unit(column, "", name)
        if values.ndim and values.shape != times.shape:
            raise ValueError(
                f"The {what} has {times.size} times, but `{name}` has shape {values.shape}. Give one value a time."
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f"`{name}` of the {what} has {np.count_nonzero(~np.isfinite(values))} value(s) that are not finite. "
                "Remove these points."
            )
        found[name] = values[order] if values.ndim else values
    found["sigma"] = np.broadcast_to(found["sigma"], times.shape).copy()
    if not (found["sigma"] > 0.0).all():
        raise ValueError(
            f"`sigma` of the {what} has {np.count_nonzero(found['sigma'] <= 0.0)} value(s) that are not positive. "
            "Remove these points, or give them the error that they have."
        )
    return found


def checked_pair(name: str, pair: tuple[Any, Any], *, unit: str = "", is_positive: bool = False) -> np.ndarray:
    """Centre and width of a prior in a unit, the width positive, and the centre too where `is_positive`.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    values = np.array([in_unit(end, unit, name) for end in pair]) if np.iterable(pair) else np.asarray(pair, float)
    if values.shape != (2,) or not np.isfinite(values).all() or not values[1] > 0.0:
        raise ValueError(f"`{name}` must be a centre and a positive width, but {pair!r} came.")
    if is_positive and not values[0] > 0.0:
        raise ValueError(f"`{name}` must be positive, but its centre is {values[0]:g}.")
    return values


def near_transit(time: np.ndarray, period: float, window: float) -> np.ndarray:
    """Places of the times within `window` of a multiple of the period.

    Raises
    ------
    ValueError
        If there is none.
    """
    near = np.flatnonzero(np.abs((time + 0.5 * period) % period - 0.5 * period) <= window)
    if near.size == 0:
        raise ValueError(f"No point is within `window` = {window:g} d of an expected transit. Check `t0` and `period`.")
    return near
