"""Checks of chains: their agreement, length, steps and energies."""

import arviz_stats
import numpy as np
import xarray as xr

from bayesastro.divergence_checks import divergences
from bayesastro.findings import Finding, entries, sample_stats, worst
from bayesastro.result import has_walkers

__all__ = [
    "CHAIN_CHECKS",
    "FIGURE_CHECKS",
    "MAX_BEHIND",
    "MAX_DEEP",
    "MAX_RHAT",
    "MIN_BFMI",
    "MIN_ESS",
    "MIN_ESS_PER_CHAIN",
    "MIN_MOVED",
]

MAX_RHAT = 1.01
"""Vehtari et al. 2021, Bayesian Analysis 16, 667 (arXiv:1903.08008)."""

MIN_ESS_PER_CHAIN = 100
"""The same paper: below it, not even the ESS estimate is reliable."""

MIN_ESS = 400
"""Of a weighted sample, or of the walkers of one ensemble: that of four independent chains."""

MIN_BFMI = 0.3
"""Betancourt 2016, arXiv:1604.00695."""

MAX_ENERGY_RATIO = 10.0
"""Measured over desired variance of energy errors; the step is then half as large again as it should be."""

MAX_DEEP = 0.01
"""Share of trajectories cut at their greatest length."""

MIN_MOVED = 0.05
"""Share of a chain's transitions."""

MAX_BEHIND = 5.0
"""Of a chain below the best, in sds of the log-density."""

MAX_SHIFT = 0.1
"""In posterior sds; below the Monte Carlo error of a hundred effective draws."""


def _rhat(result: xr.DataTree) -> list[Finding]:
    if result["posterior"].sizes["chain"] < 2 or has_walkers(result):
        return []
    remedy = "The chains disagree: run a longer warm-up, look at the traces for several modes, or reparametrise."
    return worst("rhat", entries(result, arviz_stats.rhat), MAX_RHAT, 1, "R̂", remedy)


def _weighted_ess(result: xr.DataTree) -> list[Finding]:
    """Of draws of a weighted sample, in an order without meaning."""
    number = float(result.attrs.get("ess", np.inf))
    text = f"the weighted points are worth {number:.0f} independent draws, where {MIN_ESS} are needed"
    remedy = "Use more points (`num_live`, or `num_draws` of each path), or an engine whose draws fit better."
    return [Finding("ess_weights", "posterior", number, MIN_ESS, text, remedy)] if number < MIN_ESS else []


def _ess(result: xr.DataTree) -> list[Finding]:
    if "ess" in result.attrs:
        return []
    least = MIN_ESS if has_walkers(result) else MIN_ESS_PER_CHAIN * result["posterior"].sizes["chain"]
    found = []
    for method in ("bulk", "tail"):
        values = entries(result, lambda data, method=method: arviz_stats.ess(data, method=method))
        found += worst(
            f"ess_{method}", values, least, -1, f"the {method} effective sample size", "Draw more, or reparametrise."
        )
    return found


def _autocorrelation(result: xr.DataTree) -> list[Finding]:
    """An ensemble whose run ended before its autocorrelation time was known and short enough."""
    if "tau" not in result.attrs or result.attrs["is_converged"]:
        return []
    tau, wanted = result.attrs["tau"], result.attrs["tau_wanted"]
    text = f"the autocorrelation time is {tau:.3g} iterations, where a run of this length needs {wanted:.3g} or less"
    if tau <= wanted:
        text = f"the autocorrelation time of {tau:.3g} iterations was still changing when the run ended"
    remedy = "Raise `max_steps`, reparametrise, or use an engine with gradients."
    return [Finding("autocorrelation", "ensemble", tau, wanted, text, remedy)]


def _nans(result: xr.DataTree) -> list[Finding]:
    number = int(result.attrs.get("num_nans", 0))
    text = f"the log-density was not a number at {number} points tried, which were rejected"
    remedy = "Where the program cannot compute there may be posterior mass: look for overflows, or bound the priors."
    return [Finding("nans", "sampler", number, 0, text, remedy)] if number else []


def _tree_depth(result: xr.DataTree) -> list[Finding]:
    stats = sample_stats(result)
    if "reached_max_treedepth" not in stats:
        return []
    fraction = float(stats["reached_max_treedepth"].mean())
    text = f"{100 * fraction:.2g} % of trajectories reached the largest tree depth"
    remedy = 'Use `mass_matrix="dense"`, rescale or reparametrise; or raise `max_tree_depth`.'
    return [Finding("tree_depth", "sampler", fraction, MAX_DEEP, text, remedy)] if fraction > MAX_DEEP else []


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


def _energy_errors(result: xr.DataTree) -> list[Finding]:
    """Energy errors of unadjusted dynamics larger than the step was tuned to."""
    wanted = result.attrs.get("energy_variance_wanted")
    if wanted is None:
        return []
    measured = result.attrs["energy_variance"]
    text = f"the variance of energy errors is {measured:.3g} for each parameter, where {wanted:g} was asked for"
    remedy = "The draws are biased by more than usual: run a longer warm-up, use `adjusted=True`, or reparametrise."
    is_large = not measured <= MAX_ENERGY_RATIO * wanted
    return [Finding("energy_error", "sampler", measured, MAX_ENERGY_RATIO * wanted, text, remedy)] if is_large else []


def _halving(result: xr.DataTree) -> list[Finding]:
    """Means and sds that move when the step is halved, or a check that cannot tell."""
    if "halving_shift" not in result.attrs:
        return []
    shift, error, worst = (result.attrs[f"halving_{name}"] for name in ("shift", "error", "error_max"))
    if shift - 2 * error > MAX_SHIFT:
        text = f"at half the step a mean or an sd moves by {shift:.2g} ± {error:.1g} posterior sd"
        remedy = "Lower `energy_variance` (the step goes with its sixth root), or use `adjusted=True`."
        return [Finding("step_bias", "sampler", shift, MAX_SHIFT, text, remedy)]
    if not worst <= MAX_SHIFT:
        text = f"the self-check knows shifts only to {worst:.2g} posterior sd"
        return [Finding("step_bias_unknown", "sampler", worst, MAX_SHIFT, text, "Draw more.")]
    return []


def _stuck(result: xr.DataTree) -> list[Finding]:
    """Chains that do not move, or stay where the density is far below that of the others."""
    stats, found = sample_stats(result), []
    if "lp" not in stats:
        return found
    lp = stats["lp"].values
    moved = np.mean(np.diff(lp, axis=1) != 0, axis=1)
    remedy = "Start from elsewhere (another seed, more `num_starts`), or give the problem an engine for several modes."
    for chain in np.flatnonzero(moved < MIN_MOVED):
        text = f"chain {chain} moved in only {100 * moved[chain]:.2g} % of its transitions"
        found.append(Finding("stuck", f"chain {chain}", float(moved[chain]), MIN_MOVED, text, remedy))
    level, spread = np.median(lp, axis=1), np.median(np.std(lp, axis=1))
    behind = (level.max() - level) / spread if spread > 0 else np.zeros_like(level)
    for chain in np.flatnonzero(behind > MAX_BEHIND):
        text = f"chain {chain} lies {behind[chain]:.3g} sd of the log-density below the best chain"
        found.append(Finding("stuck", f"chain {chain}", float(behind[chain]), MAX_BEHIND, text, remedy))
    return found


FIGURE_CHECKS = (_weighted_ess, _autocorrelation, _nans, _energy_errors, _halving)
"""Those that judge the engine's figures alone."""

CHAIN_CHECKS = (_rhat, _ess, divergences, _tree_depth, _bfmi, _stuck, *FIGURE_CHECKS)
