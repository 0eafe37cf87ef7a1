"""Checks of priors and angles: draws that crowd at their bounds, parameters of distributions that they take out of their domains,
and degrees that are taken for radians.
"""

import json

import numpy as np
import xarray as xr

from bayesastro.findings import Finding

__all__ = ["MAX_EDGE_FRACTION", "angle_units", "edge_fractions", "prior_domains", "prior_edges"]

MAX_EDGE_FRACTION = 0.02
"""Within the outer hundredth of the prior's width a flat posterior has a fraction of 0.01."""

MAX_OUTSIDE = 0.05
"""Part of the prior that may be without a density: an evidence is then too small by as much."""


def prior_edges(result: xr.DataTree) -> list[Finding]:
    """Parameters with more draws at an end of their prior than a flat posterior has."""
    found = []
    for name, variable in result["posterior"].data_vars.items():
        for end, fraction in edge_fractions(variable).items():
            worst = float(np.max(fraction))
            if worst > MAX_EDGE_FRACTION:
                text = f"{100 * worst:.2g} % of the draws lie on the {end} edge of the prior"
                remedy = "The prior's bound shapes the result: widen it, or where the bound is physical report a limit."
                found.append(Finding("prior_edge", str(name), worst, MAX_EDGE_FRACTION, text, remedy))
    return found


def prior_domains(result: xr.DataTree) -> list[Finding]:
    """Sites of which the density is none in a part of the prior; a notice, where that is less than a twentieth of it."""
    found = []
    for caution in json.loads(result.attrs.get("prior_domains", "[]")):
        level = "warning" if caution["fraction"] > MAX_OUTSIDE else "notice"
        text, remedy = caution["why"], caution["remedy"]
        found.append(Finding("prior_domain", caution["site"], caution["fraction"], MAX_OUTSIDE, text, remedy, level))
    return found


def angle_units(result: xr.DataTree) -> list[Finding]:
    """Arguments and sites in other units than radians of which the program takes a sine, cosine or tangent as they are."""
    told = json.loads(result.attrs.get("angle_units", "[]"))
    return [
        Finding("angle_unit", one["name"], 1.0, 0.0, f"`{one['name']}` {one['why']}", one["remedy"]) for one in told
    ]


def edge_fractions(variable: xr.DataArray) -> dict[str, np.ndarray]:
    """By end of the prior, the fraction of draws within its outer hundredth, along the other axes than chains and draws.

    Empty for a prior without finite bounds that are known.
    """
    if "prior_lower" not in variable.attrs:
        return {}
    lower, upper = (np.asarray(variable.attrs[f"prior_{end}"], float) for end in ("lower", "upper"))
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        return {}
    values = variable.transpose("chain", "draw", ...).values
    place = _place(values, lower, upper, variable.attrs.get("prior_family", ""))
    return {"lower": np.mean(place < 0.01, (0, 1)), "upper": np.mean(place > 0.99, (0, 1))}


def _place(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, family: str) -> np.ndarray:
    """Where values lie between the bounds, from 0 to 1; logarithmically if the prior spreads over scales."""
    if family in ("LogUniform", "DoublyTruncatedPowerLaw") and (lower > 0).all():
        values, lower, upper = np.log(values), np.log(lower), np.log(upper)
    return (values - lower) / (upper - lower)
