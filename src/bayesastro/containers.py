"""What astronomers keep data in that is no array of numbers, and how to get the numbers out of it."""

from typing import Any

import numpy as np

from bayesastro.hints import told

__all__ = ["advice", "require_numbers"]

COLUMNS = 'Give the columns one by one, as in `table["flux"]`'
VARIABLES = 'Give the variables one by one, as in `data["flux"].values`'
ANGLES = "Give the angles, such as `c.ra.to(u.rad)` and `c.dec.to(u.rad)`"
DATES = 'Give days since an epoch, as in `(t - t0) / np.timedelta64(1, "D")`'

ADVICE = {
    "astropy.TimeDelta": "Give a quantity, with `.to(u.d)`",
    "astropy.Time": "Give days since an epoch, `(t - t0).to(u.d)`, or the Julian date `t.jd`",
    "astropy.SkyCoord": ANGLES,
    "astropy.BaseCoordinateFrame": ANGLES,
    "astropy.Table": COLUMNS,
    "astropy.Row": COLUMNS,
    "pandas.DataFrame": COLUMNS,
    "pandas.DatetimeIndex": DATES,
    "xarray.Dataset": VARIABLES,
    "xarray.DataTree": VARIABLES,
}
"""By package and class; those derived of it are meant, too."""


def advice(value: Any) -> str:
    """How to get the numbers out of a value; empty where it is an array, or nothing of these."""
    for kind in type(value).__mro__:
        if found := ADVICE.get(f"{kind.__module__.partition('.')[0]}.{kind.__name__}"):
            return found
    dtype = getattr(value, "dtype", None)
    if not isinstance(dtype, np.dtype):
        return ""
    return COLUMNS if dtype.names else DATES if dtype.kind in "mM" else ""


def require_numbers(value: Any, what: str) -> None:
    """Raise if a value is a table, or of times or places on the sky; `what` names it in the message.

    Raises
    ------
    TypeError
    """
    if remedy := advice(value):
        came = f"a `{type(value).__name__}`" if type(value) is not np.ndarray else told(value)
        raise TypeError(f"{what} must be of numbers, but {came} came. {remedy}.")
