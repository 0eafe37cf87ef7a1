"""Diagnostics of a result: what is wrong with it, by which number, and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayesastro.approximation_checks import APPROXIMATION_CHECKS, importance_tail
from bayesastro.chain_checks import CHAIN_CHECKS
from bayesastro.evidence_checks import EVIDENCE_CHECKS
from bayesastro.findings import Finding, by_entry, worst
from bayesastro.result import real_variables

__all__ = ["Diagnosis", "Finding", "diagnose"]

MAX_EDGE_FRACTION = 0.02
"""Within the outer hundredth of the prior's width a flat posterior has a fraction of 0.01."""


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a result; falsy if there are none."""

    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def ids(self) -> tuple[str, ...]:
        """The checks that found something."""
        return tuple(dict.fromkeys(f.id for f in self.findings))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of them that are no mere notices."""
        return tuple(dict.fromkeys(f.id for f in self.findings if f.level == "warning"))

    def __str__(self) -> str:
        if not self.findings:
            return "No problems found."
        return "\n".join(f"{finding} → {finding.remedy}" for finding in self.findings)


def diagnose(result: xr.DataTree) -> Diagnosis:
    """Judge a result: completeness, R̂, effective sample size, divergences, tree depth, energy, stuck chains, edges; and
    of evidences their convergence, walks, insertion ranks and islands.

    A variational approximation is judged by its importance weights, solves and residuals, too.

    Parameters
    ----------
    result : xarray.DataTree

    Returns
    -------
    Diagnosis
        Iterable of findings; prints as one line each.
    """
    if result["posterior"].sizes.get("draw", 0) < 4:
        found = [_incomplete(result) or _no_draws(result), *importance_tail(result)]
    else:
        found = [_incomplete(result), *importance_tail(result)]
        for check in _CHECKS:
            found.extend(check(result))
    return Diagnosis(tuple(f for f in found if f is not None))


def _no_draws(result: xr.DataTree) -> Finding:
    number = result["posterior"].sizes.get("draw", 0)
    return Finding("too_few_draws", "posterior", number, 4, f"there are {number} draws for each chain", "Draw more.")


def _incomplete(result: xr.DataTree) -> Finding | None:
    status = result.attrs.get("status", "complete")
    if status == "complete":
        return None
    number = result["posterior"].sizes.get("draw", 0)
    text = f"the run ended early ({status}) with {number} draws for each chain"
    return Finding("incomplete", "run", number, np.nan, text, "Run it again with its checkpoint, or for longer.")


def _not_finite(result: xr.DataTree) -> list[Finding]:
    """Values that are infinite or not a number; the other checks pass over them."""
    number = (~np.isfinite(real_variables(result))).sum(["chain", "draw"])
    remedy = "Look for overflows and divisions by zero in the program, or use precision double."
    return worst("not_finite", list(by_entry(number)), 0, 1, "the number of non-finite draws", remedy)


def _edges(result: xr.DataTree) -> list[Finding]:
    found = []
    for name, variable in result["posterior"].data_vars.items():
        if "prior_lower" not in variable.attrs:
            continue
        lower, upper = (np.asarray(variable.attrs[f"prior_{end}"], float) for end in ("lower", "upper"))
        if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            continue
        place = _place(variable.values, lower, upper, variable.attrs.get("prior_family", ""))
        for end, fraction in (("lower", np.mean(place < 0.01, (0, 1))), ("upper", np.mean(place > 0.99, (0, 1)))):
            worst = float(np.max(fraction))
            if worst > MAX_EDGE_FRACTION:
                text = f"{100 * worst:.2g} % of the draws lie on the {end} edge of the prior"
                remedy = "The prior's bound shapes the result: widen it, or where the bound is physical report a limit."
                found.append(Finding("prior_edge", str(name), worst, MAX_EDGE_FRACTION, text, remedy))
    return found


def _place(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, family: str) -> np.ndarray:
    """Where values lie between the bounds, from 0 to 1; logarithmically if the prior spreads over scales."""
    if family in ("LogUniform", "DoublyTruncatedPowerLaw") and (lower > 0).all():
        values, lower, upper = np.log(values), np.log(lower), np.log(upper)
    return (values - lower) / (upper - lower)


_CHECKS = (_not_finite, *CHAIN_CHECKS, _edges, *APPROXIMATION_CHECKS, *EVIDENCE_CHECKS)
