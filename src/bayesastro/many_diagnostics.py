"""Diagnostics of many fits: what is wrong with how many data sets, and with which the most.

Which data sets have which finding comes from arrays over all of them; what the finding says, from the diagnosis of the
worst alone.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from bayesastro.approximation_checks import APPROXIMATION_CHECKS, importance_tail
from bayesastro.chain_checks import (
    FIGURE_CHECKS,
    MAX_BEHIND,
    MAX_DEEP,
    MAX_RHAT,
    MIN_BFMI,
    MIN_ESS,
    MIN_ESS_PER_CHAIN,
    MIN_MOVED,
)
from bayesastro.divergence_checks import MAX_DIVERGENT
from bayesastro.edge_checks import MAX_EDGE_FRACTION, angle_units, edge_fractions, prior_domains
from bayesastro.evidence_checks import EVIDENCE_CHECKS
from bayesastro.findings import Finding, by_urgency, sample_stats
from bayesastro.mixing import mixing_of
from bayesastro.result import has_walkers, real_variables

__all__ = ["dataset_of", "diagnose_many", "failure"]

Scores = dict[tuple[str, str], np.ndarray]
"""By finding and its level, how bad it is for each data set; NaN where there is none."""


def dataset_of(result: xr.DataTree, number: int) -> xr.DataTree:
    """The result of one data set that was fitted."""
    groups = {name: result[name].to_dataset().isel(dataset=number) for name in ("posterior", "sample_stats")
              if name in result.children}  # fmt: skip
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = _attributes(result, _figures(result), number)
    return tree


def failure(result: xr.DataTree, number: int) -> Finding | None:
    """Why a data set has no draws, if it has none."""
    fits = result["fits"].to_dataset().isel(dataset=number)
    if not bool(fits["failed"]):
        return None
    if not bool(fits["reached"]):
        remedy = "Run it again with its checkpoint, or for longer."
        return Finding("incomplete", f"data set {number}", 0, np.nan, "the run ended before it was reached", remedy)
    remedy = "`fit` the problem of this data set alone, which says at which site the density is not finite."
    text = "no start had a finite density, or a draw is not finite"
    return Finding("failed", f"data set {number}", 1, 0, text, remedy)


def diagnose_many(
    result: xr.DataTree, diagnose_one: Callable[[xr.DataTree], Iterable[Finding]]
) -> tuple[tuple[Finding, ...], dict[str, np.ndarray]]:
    """One finding for all the data sets that have it, told of the worst; and the numbers of these data sets, by finding."""
    size = result["fits"].sizes["dataset"]
    fits = result["fits"].to_dataset()
    failed, reached = fits["failed"].values, fits["reached"].values
    datasets: dict[str, np.ndarray] = {}
    findings: list[Finding | None] = []
    for name, is_so in (("incomplete", ~reached), ("failed", failed & reached)):
        if is_so.any():
            datasets[name] = np.flatnonzero(is_so)
            findings.append(_told(failure(result, int(datasets[name][0])), datasets[name], size))
    fitted = np.flatnonzero(~failed)
    scores = _scores(result, fitted, size) if fitted.size else {}
    alone: dict[int, list[Finding]] = {}
    for (name, level), score in scores.items():
        found = np.flatnonzero(~np.isnan(score))
        worst = int(found[np.argmax(score[found])])
        if worst not in alone:
            alone[worst] = list(diagnose_one(dataset_of(result, worst)))
        same = (f for f in alone[worst] if (f.id, f.level) == (name, level))
        datasets[name] = np.union1d(datasets.get(name, found), found)
        findings.append(_told(next(same, None), found, size, worst))
    return by_urgency(f for f in findings if f is not None), datasets


def _told(finding: Finding | None, found: np.ndarray, size: int, worst: int | None = None) -> Finding | None:
    """The finding of the worst data set, told as that of several."""
    if finding is None:
        return None
    where = finding.where if worst is None else f"data set {worst}, {finding.where}"
    text = f"in {len(found)} of {size} data sets; in this, the worst: {finding.text}"
    if worst is None:
        text = f"in {len(found)} of {size} data sets, of which this is the first: {finding.text}"
    return Finding(finding.id, where, finding.number, finding.threshold, text, finding.remedy, finding.level)


def _figures(result: xr.DataTree) -> dict[str, np.ndarray]:
    """Of the engine, for each data set."""
    fits = result["fits"].to_dataset()
    return {str(name): v.values for name, v in fits.items() if name not in ("failed", "reached", "started")}


def _attributes(result: xr.DataTree, figures: dict[str, np.ndarray], number: int) -> dict[Any, Any]:
    """Those of the run, and the figures of one data set."""
    own = {name: values[number].item() if values.ndim == 1 else values[number] for name, values in figures.items()}
    walkers = {"chains_are": "walkers"} if "tau" in own else {}
    return {**result.attrs, **own, **walkers, "status": "complete"}


def _scores(result: xr.DataTree, fitted: np.ndarray, size: int) -> Scores:
    """Of all checks; only those that found something."""
    by_fitted: Scores = {}
    if result["posterior"].sizes.get("draw", 0) < 4:
        by_fitted["too_few_draws", "warning"] = np.ones(len(fitted))
    else:
        by_fitted |= _of_draws(result, fitted) | _of_transitions(result, fitted)
    by_fitted |= _of_figures(result, fitted)
    scores = {}
    for key, score in by_fitted.items():
        if not np.isnan(score).all():
            scores[key] = np.full(size, np.nan)
            scores[key][fitted] = score
    return scores


def _where(is_bad: np.ndarray, badness: np.ndarray) -> np.ndarray:
    """How bad, where something is; what is no number is the worst."""
    return np.where(is_bad, np.nan_to_num(badness.astype(float), nan=np.inf, posinf=np.inf), np.nan)


def _of_draws(result: xr.DataTree, fitted: np.ndarray) -> Scores:
    """Draws that are not finite or crowd at bounds, R̂ and effective sample sizes: the worst scalar of each data set."""
    one = dataset_of(result, int(fitted[0]))
    broken, rhat, bulk, tail, edge = (np.zeros(len(fitted)) for _ in range(5))
    posterior = result["posterior"].to_dataset()
    for name, variable in real_variables(result).items():
        some = variable.transpose("dataset", ..., "chain", "draw").values[fitted]
        values = some.reshape(-1, *some.shape[-2:])
        with np.errstate(all="ignore"):
            varies = values.std((1, 2)) > 0
        mixing = mixing_of(values[varies])
        columns = [(~np.isfinite(values)).sum((1, 2)), *(np.zeros(len(values)) for _ in range(3))]
        for column, found in zip(columns[1:], (mixing.rhat, 1 / mixing.ess_bulk, 1 / mixing.ess_tail), strict=True):
            column[varies] = np.nan_to_num(found, nan=np.inf, posinf=np.inf)
        for total, column in zip((broken, rhat, bulk, tail), columns, strict=True):
            np.maximum(total, column.reshape(len(fitted), -1).max(1), out=total)
        for fraction in edge_fractions(posterior[name]).values():
            np.maximum(edge, fraction[fitted].reshape(len(fitted), -1).max(1), out=edge)
    chains = result["posterior"].sizes["chain"]
    least = MIN_ESS if has_walkers(one) else MIN_ESS_PER_CHAIN * chains
    scores = {("not_finite", "warning"): _where(broken > 0, broken)}
    if chains > 1 and not has_walkers(one):
        scores["rhat", "warning"] = _where(rhat > MAX_RHAT, rhat)
    if "ess" not in one.attrs:
        scores["ess_bulk", "warning"] = _where(bulk * least > 1, bulk)
        scores["ess_tail", "warning"] = _where(tail * least > 1, tail)
    return scores | {("prior_edge", "warning"): _where(edge > MAX_EDGE_FRACTION, edge)}


def _of_transitions(result: xr.DataTree, fitted: np.ndarray) -> Scores:
    """Divergences, tree depth, energies and stuck chains."""
    stats = {str(n): v.values[fitted] for n, v in sample_stats(result).items()}
    scores: Scores = {}
    if "diverging" in stats:
        number = stats["diverging"].sum((1, 2))
        is_many = number > MAX_DIVERGENT * stats["diverging"][0].size
        scores["divergences", "warning"] = _where(is_many, number)
        scores["divergences", "notice"] = _where((number > 0) & ~is_many, number)
    if "reached_max_treedepth" in stats:
        share = stats["reached_max_treedepth"].mean((1, 2))
        scores["tree_depth", "warning"] = _where(share > MAX_DEEP, share)
    with np.errstate(all="ignore"):
        if "energy" in stats:
            energy = stats["energy"]
            bfmi = (np.diff(energy, axis=2) ** 2).mean(2) / energy.var(2)
            bfmi = np.where(energy.var(2) > 0, bfmi, np.inf)
            scores["bfmi", "warning"] = _where(np.asarray(~(bfmi >= MIN_BFMI).all(1)), -bfmi.min(1))
        if "lp" in stats:
            lp = stats["lp"]
            moved = np.mean(np.diff(lp, axis=2) != 0, axis=2).min(1)
            level, spread = np.median(lp, axis=2), np.median(lp.std(2), axis=1)
            behind = np.where(spread > 0, (level.max(1) - level.min(1)) / spread, 0.0)
            is_still = moved < MIN_MOVED
            scores["stuck", "warning"] = _where(
                np.asarray(is_still | (behind > MAX_BEHIND)), np.where(is_still, np.inf, behind)
            )
    return scores


def _of_figures(result: xr.DataTree, fitted: np.ndarray) -> Scores:
    """Checks of the engine's figures, data set by data set."""
    scores: Scores = {}
    checks = (importance_tail, prior_domains, angle_units, *FIGURE_CHECKS, *APPROXIMATION_CHECKS, *EVIDENCE_CHECKS)
    figures = _figures(result)
    for place, number in enumerate(fitted):
        one = xr.DataTree()
        one.attrs = _attributes(result, figures, int(number))
        for finding in (finding for check in checks for finding in check(one)):
            score = scores.setdefault((finding.id, finding.level), np.full(len(fitted), np.nan))
            score[place] = _excess(finding)
    return scores


def _excess(finding: Finding) -> float:
    """How far a number is past its threshold: by factors where it can be told so."""
    number, threshold = abs(finding.number), abs(finding.threshold)
    if not np.isfinite(number):
        return np.inf
    return abs(float(np.log(number / threshold))) if number > 0 and threshold > 0 else float(number)
