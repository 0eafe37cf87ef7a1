"""Diagnostics of a result: what is wrong with it, by which number, and what to do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from bayesastro.approximation_checks import APPROXIMATION_CHECKS, importance_tail
from bayesastro.chain_checks import CHAIN_CHECKS
from bayesastro.edge_checks import angle_units, prior_domains, prior_edges
from bayesastro.evidence_checks import EVIDENCE_CHECKS
from bayesastro.findings import Finding, by_entry, by_urgency, worst
from bayesastro.hints import told
from bayesastro.many_diagnostics import dataset_of, diagnose_many, failure
from bayesastro.result import number_of_data_sets, real_variables, require_one, require_result

__all__ = ["Diagnosis", "Finding", "diagnose"]

LATER = ("rhat", "ess_bulk", "ess_tail")
"""Findings with remedies, such as more draws, that help only where no transitions diverge."""


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a result, the first to be mended first; falsy if there are none.

    Attributes
    ----------
    findings : tuple of Finding
    datasets : dict of str to array
        Of `fit_many`: by finding, the numbers of the data sets that have it.
    """

    findings: tuple[Finding, ...]
    datasets: Mapping[str, np.ndarray] = field(default_factory=dict)

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


def diagnose(result: xr.DataTree, *, dataset: int | None = None) -> Diagnosis:
    """Judge a result: completeness, stuck chains, divergences, energy, tree depth, R̂, effective sample size, edges; and
    of evidences their convergence, walks, insertion ranks and islands.

    Findings come in the order in which to go at them: what makes others stands before them, warnings before notices.

    A variational approximation is judged by its importance weights, solves and residuals, too. Of a result of
    :func:`fit_many` each finding says how many data sets have it, and tells the worst of them.

    Parameters
    ----------
    result : xarray.DataTree
    dataset : int, optional
        One data set of a result of `fit_many`, to be judged alone.

    Returns
    -------
    Diagnosis
        Iterable of findings; prints as one line each.

    Raises
    ------
    ValueError
        If `dataset` is given for the result of one fit, or there is no such data set.
    TypeError
        If it is no result, such as the path of one.
    """
    require_result(result)
    if (size := number_of_data_sets(result)) is None:
        if dataset is not None:
            raise ValueError("`dataset` is for results of `fit_many`, but this is of one data set. Leave it out.")
        return _diagnose_one(result)
    if "fits" not in result.children:
        require_one(result)  # which it is not: without the group nobody knows which fits failed
    if dataset is None:
        return Diagnosis(*diagnose_many(result, _diagnose_one))
    if not 0 <= dataset < size:
        raise ValueError(f"`dataset` must be from 0 to {size - 1}, but {told(dataset)} came.")
    missing = failure(result, dataset)
    return _diagnose_one(dataset_of(result, dataset)) if missing is None else Diagnosis((missing,))


def _diagnose_one(result: xr.DataTree) -> Diagnosis:
    if result["posterior"].sizes.get("draw", 0) < 4:
        found = [_incomplete(result) or _no_draws(result), *importance_tail(result)]
    else:
        found = [_incomplete(result), *importance_tail(result)]
        for check in _CHECKS:
            found.extend(check(result))
    ordered = by_urgency(f for f in found if f is not None)
    if any(f.id == "divergences" and f.level == "warning" for f in ordered):
        later = {f.id: replace(f, remedy=f"See to the divergences first. {f.remedy}") for f in ordered if f.id in LATER}
        ordered = tuple(later.get(f.id, f) for f in ordered)
    return Diagnosis(ordered)


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


_CHECKS = (_not_finite, *CHAIN_CHECKS, prior_edges, prior_domains, angle_units, *APPROXIMATION_CHECKS, *EVIDENCE_CHECKS)
