"""Diagnostics of a result: what is wrong with it, by which number, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import arviz_stats
import numpy as np
import xarray as xr
from scipy.stats import kstest

from bayesastro.approximation_checks import APPROXIMATION_CHECKS
from bayesastro.findings import Finding, sample_stats, worst
from bayesastro.result import real_variables

__all__ = ["Diagnosis", "Finding", "diagnose"]

MAX_RHAT = 1.01
"""Vehtari et al. 2021, Bayesian Analysis 16, 667 (arXiv:1903.08008)."""

MIN_ESS_PER_CHAIN = 100
"""The same paper: below it, not even the ESS estimate is reliable."""

MIN_BFMI = 0.3
"""Betancourt 2016, arXiv:1604.00695."""

MAX_EDGE_FRACTION = 0.02
"""Within the outer hundredth of the prior's width a flat posterior has a fraction of 0.01."""


MIN_ESS = 100 * 4
"""Effective draws of a weighted sample; the same as of four chains."""

MAX_SELF_CHECK_SHIFT = 3.0
"""Errors of the evidence between two nested sampling runs, one with twice the inner steps."""

MAX_WALK_CORRELATION = 0.5
"""Measured on a Gaussian in 20 dimensions: the log-evidence is 2 errors too high at 0.4, and 7 at 0.6."""

MIN_RANK_P = 1e-4
"""Of the insertion ranks; Fowlie, Handley & Su 2020, MNRAS 497, 5256 (arXiv:2006.03371)."""

MAX_UNDEFINED = 1e-3
"""Fraction of likelihood evaluations that may come to nothing."""

MAX_EVIDENCE_SCATTER = 1.0
"""Of the logarithms of the islands' evidences: beyond it the one largest island has most of the weight."""

MIN_ACCEPTANCE = 0.1

MIN_FOUNDERS = 5


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

    def __str__(self) -> str:
        if not self.findings:
            return "No problems found."
        return "\n".join(f"{f.id} [{f.where}]: {f.text} → {f.remedy}" for f in self.findings)


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
        found = [_incomplete(result) or _no_draws(result)]
    else:
        found = [_incomplete(result)]
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


def _by_entry(data: xr.Dataset) -> Iterator[tuple[str, float]]:
    """Every scalar of a dataset without sample axes, under the name that a table would give it."""
    for name, variable in data.items():
        for index, value in np.ndenumerate(variable.values):
            yield f"{name}[{', '.join(map(str, index))}]" if index else str(name), float(value)


def _rhat(result: xr.DataTree) -> list[Finding]:
    if result["posterior"].sizes["chain"] < 2:
        return []
    remedy = "The chains disagree: run a longer warm-up, look at the traces for several modes, or reparametrise."
    return worst("rhat", _entries(result, arviz_stats.rhat), MAX_RHAT, 1, "R̂", remedy)


def _ess(result: xr.DataTree) -> list[Finding]:
    if "ess" in result.attrs:  # draws of a weighted sample, in an order without meaning
        number = float(result.attrs["ess"])
        text = f"the weighted points are worth {number:.0f} independent draws, where {MIN_ESS} are needed"
        remedy = "Use more points (`num_live`)."
        return [Finding("ess_weights", "posterior", number, MIN_ESS, text, remedy)] if number < MIN_ESS else []
    least = MIN_ESS_PER_CHAIN * result["posterior"].sizes["chain"]
    found = []
    for method in ("bulk", "tail"):
        entries = _entries(result, lambda data, method=method: arviz_stats.ess(data, method=method))
        found += worst(
            f"ess_{method}", entries, least, -1, f"the {method} effective sample size", "Draw more, or reparametrise."
        )
    return found


def _entries(result: xr.DataTree, statistic: Callable[[xr.Dataset], xr.Dataset]) -> list[tuple[str, float]]:
    """A statistic of every scalar that varies; the corner of a Cholesky factor, say, is constant and has none."""
    data = real_variables(result)
    with np.errstate(all="ignore"):
        values = dict(_by_entry(statistic(data)))
        spread = dict(_by_entry(data.std(["chain", "draw"])))
    return [(name, value) for name, value in values.items() if spread[name] > 0]


def _not_finite(result: xr.DataTree) -> list[Finding]:
    """Values that are infinite or not a number; the other checks pass over them."""
    number = (~np.isfinite(real_variables(result))).sum(["chain", "draw"])
    remedy = "Look for overflows and divisions by zero in the program, or use precision double."
    return worst("not_finite", list(_by_entry(number)), 0, 1, "the number of non-finite draws", remedy)


def _divergences(result: xr.DataTree) -> list[Finding]:
    stats = sample_stats(result)
    if "diverging" not in stats:
        return []
    number, total = int(stats["diverging"].sum()), stats["diverging"].size
    if number == 0:
        return []
    text = f"{number} of {total} transitions diverged ({100 * number / total:.2g} %)"
    remedy = "The posterior has regions the sampler cannot enter, so the result is biased: raise `target_accept` (0.95, 0.99), use non-centred scales, or smooth hard edges; their places are in the group `divergences`."
    return [Finding("divergences", "sampler", number, 0, text, remedy)]


def _tree_depth(result: xr.DataTree) -> list[Finding]:
    stats = sample_stats(result)
    if "reached_max_treedepth" not in stats:
        return []
    fraction = float(stats["reached_max_treedepth"].mean())
    text = f"{100 * fraction:.2g} % of trajectories reached the largest tree depth"
    remedy = 'Use `mass_matrix="dense"`, rescale or reparametrise; or raise `max_tree_depth`.'
    return [Finding("tree_depth", "sampler", fraction, 0.01, text, remedy)] if fraction > 0.01 else []


def _bfmi(result: xr.DataTree) -> list[Finding]:
    stats = sample_stats(result)
    if "energy" not in stats:
        return []
    energy = stats["energy"].values
    jumps, spread = (np.diff(energy, axis=1) ** 2).mean(1), energy.var(1)
    # An energy that does not vary is that of a stuck chain.
    entries = [(f"chain {i}", float(jumps[i] / spread[i])) for i in np.flatnonzero(spread > 0)]
    return worst(
        "bfmi", entries, MIN_BFMI, -1, "BFMI", "Heavy tails or a funnel: use non-centred scales, or a longer warm-up."
    )


def _stuck(result: xr.DataTree) -> list[Finding]:
    """Chains that do not move, or stay where the density is far below that of the others."""
    stats, found = sample_stats(result), []
    if "lp" not in stats:
        return found
    lp = stats["lp"].values
    moved = np.mean(np.diff(lp, axis=1) != 0, axis=1)
    remedy = "Start from elsewhere (another seed, more `num_starts`), or give the problem an engine for several modes."
    for chain in np.flatnonzero(moved < 0.05):
        text = f"chain {chain} moved in only {100 * moved[chain]:.2g} % of its transitions"
        found.append(Finding("stuck", f"chain {chain}", float(moved[chain]), 0.05, text, remedy))
    level, spread = np.median(lp, axis=1), np.median(np.std(lp, axis=1))
    behind = (level.max() - level) / spread if spread > 0 else np.zeros_like(level)
    for chain in np.flatnonzero(behind > 5):
        text = f"chain {chain} lies {behind[chain]:.3g} sd of the log-density below the best chain"
        found.append(Finding("stuck", f"chain {chain}", float(behind[chain]), 5.0, text, remedy))
    return found


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


def _not_converged(result: xr.DataTree) -> list[Finding]:
    if result.attrs.get("is_converged", 1) or result.attrs.get("status", "complete") != "complete":
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
            remedy = "Raise `num_inner_steps` until it changes no more."
            found.append(Finding("self_check", "run", float(shift), MAX_SELF_CHECK_SHIFT, text, remedy))
    elif not correlation <= MAX_WALK_CORRELATION:
        text = f"new points keep a correlation of {correlation:.2g} with the points that their walks began at"
        remedy = "Raise `num_inner_steps`, or see with `self_check=True` whether the evidence depends on it: it need not where modes lie apart."
        found.append(Finding("short_walks", "run", float(correlation), MAX_WALK_CORRELATION, text, remedy))
    if "nested" in result.children:
        p = _rank_p(result["nested"].to_dataset())
        if p < MIN_RANK_P:
            text = f"new points do not lie among the others as draws would (insertion ranks, p = {p:.2g})"
            remedy = "Raise `num_inner_steps`; where that does not help the likelihood may be noisy."
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
    return [Finding("undefined_likelihoods", "run", number, MAX_UNDEFINED, text, remedy)]


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


_CHECKS = (
    _not_finite,
    _rhat,
    _ess,
    _divergences,
    _tree_depth,
    _bfmi,
    _stuck,
    _edges,
    *APPROXIMATION_CHECKS,
    _not_converged,
    _walks,
    _undefined,
    _population,
)
