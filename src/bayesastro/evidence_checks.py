"""Checks of evidences: convergence, walks, insertion ranks, likelihoods without a value, refinement, and islands."""

import json

import numpy as np
import xarray as xr
from scipy.stats import kstest

from bayesastro.findings import Finding
from bayesastro.inference.importance import MAX_KHAT

__all__ = ["EVIDENCE_CHECKS", "MAX_UNDEFINED"]

MAX_SELF_CHECK_SHIFT = 3.0
"""Errors of the evidence between two nested sampling runs, one with twice the inner steps."""

MAX_WALK_CORRELATION = 0.5
"""Measured on a Gaussian in 20 dimensions: the log-evidence is 2 errors too high at 0.4, and 7 at 0.6."""

MIN_RANK_P = 1e-4
"""Of the insertion ranks; Fowlie, Handley & Su 2020, MNRAS 497, 5256 (arXiv:2006.03371)."""

MAX_UNDEFINED = 1e-3
"""Fraction of likelihood evaluations that may come to nothing."""

MAX_REFINEMENT_SHIFT = 4.0
"""Errors between the evidences of nested sampling and of its refinement."""

MAX_EVIDENCE_SCATTER = 1.0
"""Of the logarithms of the islands' evidences: beyond it the one largest island has most of the weight."""

MIN_ACCEPTANCE = 0.1

MIN_FOUNDERS = 5


def _not_converged(result: xr.DataTree) -> list[Finding]:
    if (
        result.attrs.get("is_converged", 1)
        or "tau" in result.attrs
        or result.attrs.get("status", "complete") != "complete"
    ):
        return []
    remedy = "Raise the bound on iterations or temperatures; a likelihood without a largest value never ends."
    return [Finding("not_converged", "run", 0, 1, "the run reached its bound on iterations first", remedy)]


def _walks(result: xr.DataTree) -> list[Finding]:
    """Whether new points of nested sampling are independent of those that their walks began at."""
    found = []
    shift, correlation = result.attrs.get("self_check_shift"), result.attrs.get("position_correlation", 0.0)
    if shift is not None:
        if not abs(shift) <= MAX_SELF_CHECK_SHIFT:
            text = f"with twice the inner steps the log-evidence changed by {shift:.3g} of its errors"
            remedy = "Raise `num_inner_steps` until it changes no more, and set `use_regions=False`."
            found.append(Finding("self_check", "run", float(shift), MAX_SELF_CHECK_SHIFT, text, remedy))
    elif not correlation <= MAX_WALK_CORRELATION:
        text = f"new points keep a correlation of {correlation:.2g} with the points that their walks began at"
        remedy = "Raise `num_inner_steps`, or see with `self_check=True` whether the evidence depends on it: it need not where modes lie apart."
        found.append(Finding("short_walks", "run", float(correlation), MAX_WALK_CORRELATION, text, remedy))
    if "nested" in result.children:
        p = _rank_p(result["nested"].to_dataset())
        if p < MIN_RANK_P:
            text = f"new points do not lie among the others as draws would (insertion ranks, p = {p:.2g})"
            remedy = "Set `use_regions=False` and raise `num_inner_steps`; where that does not help the likelihood may be noisy."
            found.append(Finding("insertion_ranks", "run", p, MIN_RANK_P, text, remedy))
    return found


def _rank_p(points: xr.Dataset) -> float:
    """p-value of ranks being uniform, all together and in ten parts of the run, corrected for the number of tests."""
    born = points["birth_iteration"].values
    order = np.argsort(born, kind="stable")
    ranks = points["insertion_rank"].values[order][np.sum(born < 0) :]
    if len(ranks) == 0:
        return 1.0
    parts = [part for part in (ranks, *np.array_split(ranks, 10)) if part.size]
    return min(1.0, len(parts) * min(kstest(part, "uniform", method="asymp").pvalue for part in parts))


def _undefined(result: xr.DataTree) -> list[Finding]:
    number = float(result.attrs.get("undefined_likelihoods", 0.0))
    if number <= MAX_UNDEFINED:
        return []
    text = f"{100 * number:.2g} % of the likelihoods were not numbers, or infinite, and were taken as zero"
    remedy = "Look for overflows and divisions by zero in the program, or use precision double."
    sites = json.loads(result.attrs.get("undefined_sites", "[]"))
    where = ", ".join(sites) or "run"
    if domains := json.loads(result.attrs.get("prior_domains", "[]")):
        where, remedy = ", ".join(caution["site"] for caution in domains), domains[0]["remedy"]
        text += f": {domains[0]['why']}"
    elif sites:
        remedy = (
            f"Look for overflows, divisions by zero, and roots of negative numbers in what makes site `{sites[0]}`."
        )
    return [Finding("undefined_likelihoods", where, number, MAX_UNDEFINED, text, remedy)]


def _refinement(result: xr.DataTree) -> list[Finding]:
    """Whether importance sampling served after nested sampling, and found the same evidence."""
    attributes = result.attrs
    if attributes.get("status", "complete") != "complete" or "is_refined" not in attributes:
        return []
    k = float(attributes["refinement_pareto_k"])
    if not attributes["is_refined"]:
        text = f"the evidence is that of nested sampling, for its refinement has k̂ = {k:.2g} and {attributes['refinement_ess']:.3g} effective draws"
        remedy = "Raise `refine` and `num_live`, or do without."
        return [Finding("not_refined", "run", k, MAX_KHAT, text, remedy)]
    shift = attributes["refined_log_evidence"] - attributes["nested_log_evidence"]
    shift /= np.hypot(attributes["refined_log_evidence_err"], attributes["nested_log_evidence_err"])
    if abs(shift) <= MAX_REFINEMENT_SHIFT:
        return []
    text = f"refining the log-evidence changed it by {shift:.3g} of its errors"
    remedy = "Raise `num_live` and `num_inner_steps` until both agree."
    return [Finding("refinement", "run", float(shift), MAX_REFINEMENT_SHIFT, text, remedy)]


def _population(result: xr.DataTree) -> list[Finding]:
    """Whether the islands of sequential Monte Carlo agree, and their particles moved and stayed many."""
    found, attributes = [], result.attrs
    scatter, founders = attributes.get("log_evidence_scatter", 0.0), attributes.get("num_founders", MIN_FOUNDERS)
    if not scatter <= MAX_EVIDENCE_SCATTER:
        text = f"the log-evidences of the islands scatter by {scatter:.2g}"
        remedy = "Raise `num_particles` or `num_moves`."
        found.append(Finding("evidence_scatter", "run", float(scatter), MAX_EVIDENCE_SCATTER, text, remedy))
    if founders < MIN_FOUNDERS:
        text = f"all particles of an island descend from {founders} of the first ones, so that modes may be lost"
        remedy = "Raise `num_particles`, or start from another result."
        found.append(Finding("few_founders", "run", float(founders), MIN_FOUNDERS, text, remedy))
    acceptance = np.atleast_1d(attributes.get("acceptance_rates", 1.0))
    if not acceptance.min() >= MIN_ACCEPTANCE:
        text = f"at a temperature only {100 * acceptance.min():.2g} % of the moves were accepted"
        remedy = "Raise `num_moves`, or reparametrise: scales that vary over the posterior need ever smaller steps."
        found.append(Finding("low_acceptance", "run", float(acceptance.min()), MIN_ACCEPTANCE, text, remedy))
    return found


EVIDENCE_CHECKS = (_not_converged, _walks, _undefined, _refinement, _population)
