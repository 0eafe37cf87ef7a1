"""What all pictures share: colours, names of axes, and the scalars of a result."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesastro.hints import did_you_mean
from bayesastro.labels import labels_of, listed
from bayesastro.result import require_one

__all__ = ["COLORS", "Scalar", "axis_label", "colors", "posterior_of", "scalars", "variable"]

COLORS = ("#1b5e9b", "#d1602d", "#3a8f5c", "#7a4b9a", "#8a6d3b")
"""Line colours that stay apart for colour-blind readers and in print."""

MOST_PANELS = 20

GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega"
    "|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega"
)

SYMBOL = re.compile(r"([A-Za-z]+?)(\d*)(?:_([A-Za-z0-9_]+))?")


def colors(number: int) -> list[str]:
    """So many colours, from the first again after the last."""
    return [COLORS[i % len(COLORS)] for i in range(number)]


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


def variable(result: xr.DataTree, name: str, group: str = "posterior") -> xr.DataArray:
    """A variable of a result.

    Raises
    ------
    TypeError
        If it is no result.
    ValueError
        If there is none of this name, or the result is of several data sets.
    """
    require_one(result)
    if group not in result.children or name not in result[group]:
        names = list(map(str, result[group].data_vars)) if group in result.children else []
        have = ", ".join(names) or "no such group"
        raise ValueError(f"The result has no variable `{name}` in `{group}`; it has {have}.{did_you_mean(name, names)}")
    return result[group].to_dataset()[name]


def posterior_of(result: xr.DataTree, what: str = "The result") -> xr.Dataset:
    """Draws of a result of one data set.

    Raises
    ------
    TypeError
        If it is no result.
    ValueError
        If it has no posterior, or is of several data sets.
    """
    require_one(result, what)
    if "posterior" not in result.children:
        raise ValueError(f"{what} has no group `posterior`; it has {', '.join(result.children) or 'none'}.")
    return result["posterior"].to_dataset()


class Scalar(NamedTuple):
    """One number of the posterior."""

    name: str
    label: str
    draws: np.ndarray
    """Shape (chain, draw)."""


def scalars(
    result: xr.DataTree, var_names: str | Sequence[str] | None, labels: Mapping[str, str] | None = None
) -> list[Scalar]:
    """Real scalars of the posterior, entries of arrays among them; by default the first twenty.

    Raises
    ------
    TypeError
        If it is no result.
    ValueError
        If a variable is missing or complex, there is nothing to show, more than twenty were asked for, or the result is
        of several data sets.
    """
    posterior = posterior_of(result)
    asked = [var_names] if isinstance(var_names, str) else var_names
    names = list(posterior.data_vars) if asked is None else list(asked)
    found: list[Scalar] = []
    for name in map(str, names):
        values: Any = variable(result, name)
        if np.iscomplexobj(values):
            if asked is None:
                continue
            raise ValueError(f"`{name}` is complex. Show its modulus and phase.")
        unit, shape = str(values.attrs.get("units", "")), values.shape[2:]
        flat = values.values.astype(float).reshape(*values.shape[:2], -1)
        entries = labels_of([(name, shape)])[: MOST_PANELS + 1]
        for i, entry in enumerate(entries):
            label = (labels or {}).get(entry) or (labels or {}).get(name) or axis_label(entry, unit)
            found.append(Scalar(entry, label, flat[..., i]))
    if not found:
        raise ValueError("There is no scalar variable to show.")
    if len(found) > MOST_PANELS and asked is not None:
        raise ValueError(
            f"At most {MOST_PANELS} scalars fit into a picture, but `var_names` has more: {listed([s.name for s in found])}."
        )
    return found[:MOST_PANELS]
