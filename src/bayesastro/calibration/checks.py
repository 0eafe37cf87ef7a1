"""The checks of a pool, at one false-alarm rate for all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bayesastro.calibration.coverage import LEVELS, binomial_interval, coverage_extremity
from bayesastro.calibration.exchange import Replicates, joint_level, ranks, replicates
from bayesastro.calibration.sbc import ecdf_extremity
from bayesastro.calibration.tarp import distances

__all__ = ["MEANINGS", "MIN_FITS", "Assessment", "Pool", "assess", "lines_of"]

MEANINGS = {
    "fits": "so many that other checks might have failed with them",
    "ranks": "truths are not spread evenly among the draws of",
    "coverage": "central regions hold the truth too often or too seldom for",
    "bias": "posterior means are off for",
    "log_likelihood": "truths fit their data better or worse than the draws do: data are left out or weighted wrongly",
    "hpd": "regions of highest density hold the truth too often or too seldom",
    "tarp": "truths and draws lie at different distances from random references: the joint posterior is off",
    "tarp_data": "truths and draws lie at different distances from estimates by the data: data are not made use of",
}
"""The checks, and what it means if one fails."""

MIN_FITS = 20
"""Fits that must have succeeded for the checks to be made at all."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Truths and posterior draws of many simulations; member 0 is the truth, NaN where a pool has fewer members.

    Attributes
    ----------
    labels : list of str
        Names of the scalars of the parameters, and of the deterministic sites that are ranked beside them.
    theta : array, shape (simulation, member, parameter)
    coordinates : array, shape (simulation, member, coordinate)
        Unconstrained.
    log_likelihood, log_density : array, shape (simulation, member)
        log p(x | θ), and log p(x, θ), of a simulation's data.
    references : dict of str to array, shape (simulation, coordinate)
        ``"tarp"`` and ``"tarp_data"``: places that do not depend on the truth, given the data.
    numbers : array of int, shape (simulation,)
        Which simulation each is.
    num_failed : int
        Simulations whose fits have no draws.
    deterministics : tuple of str
        Deterministic sites that are ranked.
    """

    labels: list[str]
    theta: np.ndarray
    coordinates: np.ndarray
    log_likelihood: np.ndarray
    log_density: np.ndarray
    references: Mapping[str, np.ndarray] = field(default_factory=dict)
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    num_failed: int = 0
    deterministics: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of simulations with draws."""
        return len(self.theta)

    @property
    def has_density(self) -> bool:
        """Whether a density is known anywhere; a program that draws keys itself has none."""
        return self.size == 0 or bool(np.isfinite(self.log_likelihood).any())


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What the checks found.

    Attributes
    ----------
    checks : pandas.DataFrame
        By check: ``p``, its p-value; ``passed``; and ``where``, the quantity that is furthest off, or how many fits failed.
    parameters : pandas.DataFrame
        By parameter: ``bias`` (mean of posterior mean − truth, in posterior sds) and its error; ``spread`` (rms of the
        same; above one if posteriors are too narrow); ``shrinkage`` (1 − posterior over prior variance).
    coverage : pandas.DataFrame
        By quantity (parameters, ``hpd``) and level: ``coverage`` with its 95 % interval ``low``, ``high``, and with all
        failed fits counted as misses (``worst``) and as hits (``best``).
    pit : pandas.DataFrame
        By simulation: for each quantity, the fraction of draws below the truth.
    level : float
        p-value that a check must exceed.
    extremity : dict of str to float
        For each check the value of its statistic at that level; of ranks it gives the band.
    """

    checks: pd.DataFrame
    parameters: pd.DataFrame
    coverage: pd.DataFrame
    pit: pd.DataFrame
    level: float
    extremity: dict[str, float]


def assess(pool: Pool, *, false_alarm: float, seed: int) -> Assessment:
    """Make all checks of a pool, which together fail a right posterior at the rate `false_alarm`."""
    random = np.random.default_rng(seed)
    columns = {label: pool.theta[..., i] for i, label in enumerate(pool.labels)}
    if pool.has_density:
        columns |= {"log_likelihood": pool.log_likelihood, "hpd": pool.log_density}
    columns |= {name: distances(pool.coordinates, at) for name, at in pool.references.items()}
    if pool.size < MIN_FITS:
        return _without_fits(pool, list(columns))
    ranked, sizes = ranks(np.stack(list(columns.values()), axis=-1), random)
    drawn = replicates(sizes, false_alarm, random)
    statistics, where, pit = _statistics(pool, list(columns), ranked, drawn)
    p, level = joint_level(statistics, false_alarm)
    extremity = {name: _value_at(values, level) for name, values in statistics.items()}
    table = pd.DataFrame({"p": p, "passed": {n: v > level for n, v in p.items()}, "where": where})
    tolerated = _tolerated(pool, pit, extremity) if pool.num_failed else None
    failed = _failures(pool, passed=tolerated is None or pool.num_failed <= tolerated, tolerated=tolerated)
    return Assessment(
        checks=pd.concat([failed, table]).rename_axis("check"),
        parameters=_moments(pool),
        coverage=_coverage(pool, pit),
        pit=pit,
        level=level,
        extremity=extremity,
    )


def _statistics(
    pool: Pool, labels: list[str], ranked: np.ndarray, drawn: Replicates
) -> tuple[dict[str, np.ndarray], dict[str, str], pd.DataFrame]:
    """Statistic of each check over the replicates, the quantity furthest off in the data, and the data's ranks."""
    found: dict[str, np.ndarray] = {}
    where: dict[str, str] = {}
    pits = {}

    def take(check: str, label: str, values: np.ndarray) -> None:
        if check not in found or values[0] < found[check][0]:
            where[check] = label
        found[check] = np.minimum(found[check], values) if check in found else values

    for i, label in enumerate(labels):
        pit = drawn.pit(ranked[..., i])
        pits[label] = pit[0]
        is_parameter = i < len(pool.labels)
        take("ranks" if is_parameter else label, label, ecdf_extremity(pit))
        if is_parameter:
            take("coverage", label, coverage_extremity(np.abs(2 * pit - 1)))
            take("bias", label, -np.abs(drawn.of(_scores(pool.theta[..., i])).mean(1)))
    order = [name for name in MEANINGS if name in found]
    return {name: found[name] for name in order}, where, pd.DataFrame(pits, index=pool.numbers)


def lines_of(checks: pd.DataFrame, before: pd.DataFrame | None = None) -> list[str]:
    """A line for each check: its p-value, that `before` a correction, and what its failure means or what is furthest off."""
    lines = []
    for row in checks.reset_index().to_dict("records"):
        name, told = row["check"], [f"p = {row['p']:.2g}"] if np.isfinite(row["p"]) else []
        where = f" `{row['where']}`" if name in ("ranks", "coverage", "bias") else ""
        if told and before is not None:
            told.append(f"before {before.at[name, 'p']:.2g}")
        if name == "fits":
            told.append(row["where"])
        if not row["passed"]:
            told.append(MEANINGS[name] + where)
        elif where:
            told.append(f"worst at{where}")
        lines.append(f"  {'pass' if row['passed'] else 'FAIL'}  {name}: {'; '.join(told)}")
    return lines


def _scores(values: np.ndarray) -> np.ndarray:
    """Members in units of their pool's mean and sd; zero where they do not vary."""
    mean = np.nanmean(values, axis=1, keepdims=True)
    sd = np.nanstd(values, axis=1, keepdims=True)
    return np.where(sd > 0, (values - mean) / np.where(sd > 0, sd, 1.0), 0.0)


def _value_at(statistic: np.ndarray, level: float) -> float:
    """Largest value of a statistic whose p-value does not exceed the level."""
    ordered = np.sort(statistic)
    p = np.searchsorted(ordered, ordered, side="right") / len(ordered)
    reached = ordered[p <= level]
    return float(reached[-1]) if len(reached) else -np.inf


def _failures(pool: Pool, *, passed: bool, tolerated: int | None = None) -> pd.DataFrame:
    """The row of the check that not too many fits failed."""
    told = f"{pool.num_failed} of {pool.size + pool.num_failed} failed"
    told += "" if tolerated is None else f", at most {tolerated} may"
    row = {"p": np.nan, "passed": passed, "where": told}
    return pd.DataFrame(row, index=["fits"]).rename_axis("check")


def _tolerated(pool: Pool, pit: pd.DataFrame, extremity: Mapping[str, float]) -> int | None:
    """The most fits that may fail: with the truths of so many all at one end, no check of ranks would fail that passes without.

    None if none passes.
    """

    def is_harmless(number: int, values: np.ndarray, least: float) -> bool:
        filled = np.stack([np.append(values, np.full(number, end)) for end in (0.0, 1.0)])
        return bool((ecdf_extremity(filled) > least).all())

    most = None
    for label, values in pit.items():
        told = values.to_numpy(), extremity["ranks" if label in pool.labels else str(label)]
        if not is_harmless(0, *told) or (most is not None and is_harmless(most, *told)):
            continue
        harmless, harmful = 0, pool.size if most is None else most
        while harmful - harmless > 1:
            middle = (harmless + harmful) // 2
            harmless, harmful = (middle, harmful) if is_harmless(middle, *told) else (harmless, middle)
        most = harmless
    return most


def _moments(pool: Pool) -> pd.DataFrame:
    """Bias, spread and shrinkage of each parameter."""
    draws, truth = pool.theta[:, 1:], pool.theta[:, 0]
    mean, sd = np.nanmean(draws, axis=1), np.nanstd(draws, axis=1, ddof=1)
    with np.errstate(all="ignore"):
        scores = np.where(sd > 0, (mean - truth) / sd, 0.0)
        low, high = np.quantile(truth, [0.16, 0.84], axis=0)
        shrinkage = 1 - np.median(sd**2, axis=0) / (0.5 * (high - low)) ** 2
    columns = {
        "bias": scores.mean(0),
        "bias_error": scores.std(0, ddof=1) / np.sqrt(len(scores)),
        "spread": np.sqrt((scores**2).mean(0)),
        "shrinkage": shrinkage,
    }
    return pd.DataFrame(columns, index=pd.Index(pool.labels, name="parameter"))


def _coverage(pool: Pool, pit: pd.DataFrame) -> pd.DataFrame:
    """Coverage of central regions by parameter, and of regions of highest density."""
    rows, total = {}, pool.size + pool.num_failed
    for label in [*pool.labels, *(["hpd"] if pool.has_density else [])]:
        place = 1 - pit[label].to_numpy() if label == "hpd" else np.abs(2 * pit[label].to_numpy() - 1)
        for level in LEVELS:
            count = int((place <= level).sum())
            low, high = binomial_interval(count, pool.size)
            rows[label, level] = {
                "coverage": count / pool.size,
                "low": low,
                "high": high,
                "worst": count / total,
                "best": (count + pool.num_failed) / total,
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.set_axis(pd.MultiIndex.from_tuples(list(rows), names=["quantity", "level"]))


def _without_fits(pool: Pool, labels: list[str]) -> Assessment:
    """So few fits succeeded, or were done, that nothing else can be said."""
    return Assessment(
        checks=_failures(pool, passed=pool.num_failed == 0),
        parameters=pd.DataFrame(columns=["bias", "bias_error", "spread", "shrinkage"], dtype=float),
        coverage=pd.DataFrame(columns=["coverage", "low", "high", "worst", "best"], dtype=float),
        pit=pd.DataFrame(columns=labels, dtype=float),
        level=0.0,
        extremity={},
    )
