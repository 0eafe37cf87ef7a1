"""What all pictures share: colours, axes, and their names."""

import re
from typing import Any

import numpy as np
from matplotlib.axes import Axes

__all__ = ["COLORS", "axis_label", "colors", "require_axes", "require_axis"]

COLORS = ("#1b5e9b", "#d1602d", "#3a8f5c", "#7a4b9a", "#8a6d3b")
"""Line colours that stay apart for colour-blind readers and in print."""

GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega"
    "|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega"
)

SYMBOL = re.compile(r"([A-Za-z]+?)(\d*)(?:_([A-Za-z0-9_]+))?")


def colors(number: int) -> list[str]:
    """So many colours, from the first again after the last."""
    return [COLORS[i % len(COLORS)] for i in range(number)]


def require_axis(axis: Any, name: str = "axis") -> None:
    """Raise unless this is an axis.

    Raises
    ------
    TypeError
    """
    if not isinstance(axis, Axes):
        came = type(axis).__name__
        raise TypeError(f"`{name}` must be of matplotlib's `Axes`, as `plt.subplots` makes them, but `{came}` came.")


def require_axes(axes: Any) -> np.ndarray:
    """Axes that were given, in an array.

    Raises
    ------
    TypeError
        If something else was.
    """
    array = np.asarray(axes, dtype=object)
    for axis in array.flat:
        require_axis(axis, "axes")
    return array


def axis_label(name: str, unit: str = "") -> str:
    r"""Name of a variable for an axis: LaTeX if it is a symbol, with its unit in brackets.

    Symbols are single letters and the names of Greek ones, with digits and what follows an underscore as indices.

    Examples
    --------
    >>> from bayesastro.plots import axis_label
    >>> axis_label("Omega_m"), axis_label("H0", "km / (s Mpc)"), axis_label("source_R", "arcsec")
    ('$\\Omega_{m}$', '$H_{0}$ [km / (s Mpc)]', 'source_R [arcsec]')
    """
    base, bracket, entry = name.partition("[")
    match = SYMBOL.fullmatch(base)
    is_greek = bool(match and GREEK.fullmatch(match[1]))
    if match and (is_greek or len(match[1]) == 1):
        letter = f"\\{match[1]}" if is_greek else match[1]
        index = ",".join(part for part in (match[2], (match[3] or "").replace("_", r"\_")) if part)
        base = f"${letter}_{{{index}}}$" if index else f"${letter}$"
    return base + bracket + entry + (f" [{unit}]" if unit else "")
