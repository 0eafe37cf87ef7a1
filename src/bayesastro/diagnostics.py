"""Diagnostics of a result: what is wrong with it, by which number, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import arviz_stats
import numpy as np
import xarray as xr

from bayesastro.result import real_variables

__all__ = ["Diagnosis", "Finding", "diagnose"]

MAX_RHAT = 1.01
"""Vehtari et al. 2021, Bayesian Analysis 16, 667 (arXiv:1903.08008)."""

MIN_ESS_PER_CHAIN = 100
"""The same paper: below it, not even the ESS estimate is reliable."""

MIN_ESS = 400
"""The same limit for a result whose chains are the walkers of one ensemble: that of four independent chains."""

MIN_BFMI = 0.3
"""Betancourt 2016, arXiv:1604.00695."""

MAX_KHAT = 0.7
"""Vehtari et al. 2024, JMLR 25, 72 (arXiv:1507.02646)."""

MAX_ENERGY_RATIO = 10.0
"""Measured over desired variance of energy errors; the step is then half as large again as it should be."""

MAX_SHIFT = 0.1
"""In posterior sds; below the Monte Carlo error of a hundred effective draws."""

MAX_EDGE_FRACTION = 0.02
"""Within the outer hundredth of the prior's width a flat posterior has a fraction of 0.01."""


@dataclass(frozen=True)
class Finding:
    """One thing amiss.

    Attributes
    ----------
    id : str
        Short name of the check.
    where : str
        Parameter, chain or group.
    number, threshold : float
        What was measured, and the value it should not pass.
    text : str
        The finding in words.
    remedy : str
        What to do.
    """

    id: str
    where: str
    number: float
    threshold: float
    text: str
    remedy: str


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
    """Judge a result.

    Completeness, importance weights, NaNs, R̂ or autocorrelation, effective sample size, divergences, tree depth, energy, bias of
    unadjusted steps, stuck chains, edges.

    Parameters
    ----------
    result : xarray.DataTree

    Returns
    -------
    Diagnosis
        Iterable of findings; prints as one line each.
    """
    if result["posterior"].sizes.get("draw", 0) < 4:
        found = [_incomplete(result) or _no_draws(result), _khat(result)]
    else:
        found = [_incomplete(result), _khat(result)]
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


def _worst(
    id: str, entries: list[tuple[str, float]], threshold: float, sign: int, what: str, remedy: str
) -> list[Finding]:
    """One finding for all the entries past a threshold, at the worst of them."""
    bad = [(name, value) for name, value in entries if not sign * value <= sign * threshold]
    if not bad:
        return []
    where, number = max(bad, key=lambda pair: sign * pair[1] if np.isfinite(pair[1]) else np.inf)
    more = f", and at {len(bad) - 1} more" if len(bad) > 1 else ""
    return [
        Finding(id, where, number, threshold, f"{what} is {number:.4g}, where {threshold:g} is the limit{more}", remedy)
    ]


def _has_walkers(result: xr.DataTree) -> bool:
    """Whether the chains are walkers that depend on each other, between which R̂ means nothing."""
    return result.attrs.get("chains_are") == "walkers"


def _rhat(result: xr.DataTree) -> list[Finding]:
    if result["posterior"].sizes["chain"] < 2 or _has_walkers(result):
        return []
    remedy = "The chains disagree: run a longer warm-up, look at the traces for several modes, or reparametrise."
    return _worst("rhat", _entries(result, arviz_stats.rhat), MAX_RHAT, 1, "R̂", remedy)


def _ess(result: xr.DataTree) -> list[Finding]:
    least = MIN_ESS if _has_walkers(result) else MIN_ESS_PER_CHAIN * result["posterior"].sizes["chain"]
    found = []
    for method in ("bulk", "tail"):
        entries = _entries(result, lambda data, method=method: arviz_stats.ess(data, method=method))
        found += _worst(
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


def _autocorrelation(result: xr.DataTree) -> list[Finding]:
    """An ensemble whose run ended before its autocorrelation time was known and short enough."""
    if result.attrs.get("is_converged", 1):
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


def _khat(result: xr.DataTree) -> Finding | None:
    """Importance weights whose tail is too heavy for their sums to mean anything."""
    khat = result.attrs.get("khat")
    if khat is None or khat <= MAX_KHAT:
        return None
    text = f"the importance weights have k̂ = {khat:.3g}, where {MAX_KHAT:g} is the limit"
    remedy = (
        "The approximation does not cover the posterior: use the draws only as `start=` of `NUTS` or another engine."
    )
    return Finding("khat", "weights", khat, MAX_KHAT, text, remedy)


def _not_finite(result: xr.DataTree) -> list[Finding]:
    """Values that are infinite or not a number; the other checks pass over them."""
    number = (~np.isfinite(real_variables(result))).sum(["chain", "draw"])
    remedy = "Look for overflows and divisions by zero in the program, or use precision double."
    return _worst("not_finite", list(_by_entry(number)), 0, 1, "the number of non-finite draws", remedy)


def _sample_stats(result: xr.DataTree) -> xr.Dataset:
    """The engine's figures for each draw; not every engine has any."""
    return result["sample_stats"].to_dataset() if "sample_stats" in result.children else xr.Dataset()


def _divergences(result: xr.DataTree) -> list[Finding]:
    stats = _sample_stats(result)
    if "diverging" not in stats:
        return []
    number, total = int(stats["diverging"].sum()), stats["diverging"].size
    if number == 0:
        return []
    text = f"{number} of {total} transitions diverged ({100 * number / total:.2g} %)"
    remedy = "The posterior has regions the sampler cannot enter, so the result is biased: raise `target_accept` (0.95, 0.99), use non-centred scales, or smooth hard edges; their places are in the group `divergences`."
    return [Finding("divergences", "sampler", number, 0, text, remedy)]


def _tree_depth(result: xr.DataTree) -> list[Finding]:
    stats = _sample_stats(result)
    if "reached_max_treedepth" not in stats:
        return []
    fraction = float(stats["reached_max_treedepth"].mean())
    text = f"{100 * fraction:.2g} % of trajectories reached the largest tree depth"
    remedy = 'Use `mass_matrix="dense"`, rescale or reparametrise; or raise `max_tree_depth`.'
    return [Finding("tree_depth", "sampler", fraction, 0.01, text, remedy)] if fraction > 0.01 else []


def _bfmi(result: xr.DataTree) -> list[Finding]:
    stats = _sample_stats(result)
    if "energy" not in stats:
        return []
    energy = stats["energy"].values
    jumps, spread = (np.diff(energy, axis=1) ** 2).mean(1), energy.var(1)
    # An energy that does not vary is that of a stuck chain.
    entries = [(f"chain {i}", float(jumps[i] / spread[i])) for i in np.flatnonzero(spread > 0)]
    return _worst(
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
    stats, found = _sample_stats(result), []
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


_CHECKS = (
    _not_finite,
    _nans,
    _rhat,
    _ess,
    _autocorrelation,
    _divergences,
    _tree_depth,
    _bfmi,
    _energy_errors,
    _halving,
    _stuck,
    _edges,
)
