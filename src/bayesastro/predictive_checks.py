"""Predictive checks: whether data predicted by the prior, or by a fit, look like the data observed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from matplotlib.figure import Figure

from bayesastro.calibration.members import FEATURES, evaluated
from bayesastro.calibration.sbc import ecdf_band, ecdf_extremity, ecdf_grid
from bayesastro.hints import told
from bayesastro.monte_carlo import relative_efficiency
from bayesastro.plots import COLORS, band
from bayesastro.predictive import evenly, latent_draws, replicates_at, require_generative
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["FitCheck", "check_fit"]

MAX_SHOWN = 1000
"""Replicates kept for the picture."""

MAX_LEFT_OUT = 2000
"""Data of a site that are left out in turn, evenly taken: of an image not every pixel."""

STATISTICS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "data mean": lambda x: x.mean(-1),
    "data sd": lambda x: x.std(-1),
    "data min": lambda x: x.min(-1),
    "data max": lambda x: x.max(-1),
}
"""Of the data alone."""


@dataclass(frozen=True, kw_only=True)
class FitCheck:
    """What :func:`check_fit` found.

    Attributes
    ----------
    table : pandas.DataFrame
        By site and discrepancy: ``observed``, and ``predicted`` with its ``sd``; ``p``, the two-sided fraction of
        predictions that are further out; ``passed``.
    loo_pit : dict of str to array
        By site with independent data: the probability, by all other data, of a datum below the one observed. Of more
        than 2000 data so many, evenly taken.
    num_bad_k : int
        Data whose leave-one-out weights are unreliable (k̂ > 0.7).
    predictions : dict of str to array, shape (draw, ...)
        By observed site.
    observed : dict of str to array
    false_alarm : float
    extremity : dict of str to float
        By site: how far out the band of LOO-PITs reaches.
    """

    table: pd.DataFrame
    loo_pit: dict[str, np.ndarray] = field(repr=False)
    num_bad_k: int
    predictions: dict[str, np.ndarray] = field(repr=False)
    observed: dict[str, np.ndarray] = field(repr=False)
    false_alarm: float
    extremity: dict[str, float] = field(repr=False)

    @property
    def verdict(self) -> str:
        """``"pass"`` if nothing observed is too far from what is predicted, otherwise ``"fail"``."""
        return "pass" if bool(self.table["passed"].all()) else "fail"

    def summary(self) -> pd.DataFrame:
        """The table, with the furthest off first."""
        return self.table.sort_values("p")

    def __str__(self) -> str:
        lines = [
            f"{self.verdict}: {len(self.table)} discrepancies at a false-alarm rate of at most {self.false_alarm:g}"
        ]
        for row in self.summary().reset_index().to_dict("records"):
            if not row["passed"]:
                told = f": {row['observed']:.4g}, predicted {row['predicted']:.4g} ± {row['sd']:.2g}"
                told = told if np.isfinite(row["observed"]) else ""
                lines.append(f"  FAIL  `{row['site']}`, {row['discrepancy']}{told}; p = {row['p']:.2g}")
        if self.num_bad_k:
            number = sum(map(len, self.loo_pit.values()))
            lines.append(f"  LOO-PITs are unreliable of {self.num_bad_k} of {number} data (k̂ > 0.7)")
        return "\n".join(lines)

    def plot(self) -> Figure:
        """For each site the data over the predicted band, and the LOO-PITs against their band."""
        sites = list(self.observed)
        figure, axes = plt.subplots(len(sites), 2, figsize=(11, 3.6 * len(sites)), squeeze=False)
        for (left, right), site in zip(axes, sites, strict=True):
            x = self.observed[site].ravel()
            band(left, np.arange(x.size), self.predictions[site].reshape(-1, x.size), label="predicted")
            left.plot(np.arange(x.size), x, ".", color=COLORS[1], label="observed")
            left.set(xlabel="datum", ylabel=site)
            left.legend(frameon=False, fontsize=9)
            if site not in self.loo_pit:
                right.text(0.5, 0.5, "no leave-one-out", ha="center", va="center", transform=right.transAxes)
                right.set_axis_off()
                continue
            pit, grid = self.loo_pit[site], ecdf_grid(len(self.loo_pit[site]))
            low, high = ecdf_band(len(pit), self.extremity[site])
            right.fill_between(grid, low - grid, high - grid, color="0.88", lw=0)
            right.plot(grid, (pit <= grid[:, None]).mean(1) - grid, color=COLORS[0])
            right.axhline(0, color="0.6", lw=0.8)
            right.set(xlabel="LOO-PIT", ylabel="ECDF − uniform")
        figure.tight_layout()
        return figure


@asks_for("seed")
def check_fit(
    problem: Problem, result: xr.DataTree | None = None, *, num: int | None = None, seed: int, false_alarm: float = 0.01
) -> FitCheck:
    """Say whether the data observed look like those that a fit predicts.

    Replicates of the data are drawn at posterior draws θ, and compared with the data in discrepancies T(x, θ): averages
    over the residuals, among them χ² and the correlation of neighbours; the log-likelihood; and moments and extremes of
    the data. Where data are independent given θ, each is also held against its prediction by all others (LOO-PIT).

    Posterior p-values of discrepancies use the data twice and are conservative: the rate of false alarms is at most the
    one stated. :meth:`CalibrationReport.plausibility` has an exact one.

    Parameters
    ----------
    problem : Problem
    result : xarray.DataTree, optional
        Its fit. Without it the prior's predictions are checked.
    num : int, optional
        Replicates; by default as many as the false-alarm rate needs. Several are drawn at each posterior draw if there
        are fewer of these.
    seed : int
    false_alarm : float
        For all discrepancies and sites together, by Bonferroni's inequality.

    Returns
    -------
    FitCheck

    Raises
    ------
    ValueError
        If the program does not generate its data, nothing is observed, the result is of another program, or `num` is
        too small for the false-alarm rate.

    References
    ----------
    Gelman, Meng & Stern 1996, Statistica Sinica 6, 733, realised discrepancies;
    Gelfand, Dey & Chang 1992, and Vehtari, Gelman & Gabry 2017 (arXiv:1507.04544), LOO-PIT.
    """
    seed = checked_seed(seed)
    require_generative(problem, "check_fit")
    if not problem.observed:
        raise ValueError("`check_fit` needs observed data, but the problem has none. Give it `observed=`.")
    if not 0 < false_alarm < 1:
        raise ValueError(f"`false_alarm` must be between 0 and 1, but {told(false_alarm)} came.")
    num = _enough(problem, num, false_alarm)
    key, random = jax.random.key(seed), np.random.default_rng(seed)
    if result is None:
        theta, x = problem.simulate(num, key=key)
        distinct = theta
    else:
        distinct = evenly(latent_draws(problem, result), num)
        have = len(next(iter(distinct.values())))
        theta = {name: values[np.arange(-(-num // have) * have) % have] for name, values in distinct.items()}
        x = replicates_at(problem, theta, key)
    log_likelihood = problem.log_likelihood(distinct, batch_ndims=1)
    rows = _realised(problem, theta, x) | _of_data(problem, x, log_likelihood)
    loo_pit, num_bad, extremity = {}, 0, {}
    if result is not None:
        loo_pit, num_bad = _loo_pits(problem, x, log_likelihood, relative_efficiency(result), random)
    level = false_alarm / (len(rows) + len(loo_pit))
    for site, pit in loo_pit.items():
        null = np.sort(ecdf_extremity(random.random((int(np.ceil(4 / level)), len(pit)))))
        extremity[site] = float(np.quantile(null, level))
        p = (1 + np.searchsorted(null, ecdf_extremity(pit[None])[0], side="right")) / (1 + len(null))
        rows[site, "LOO-PIT"] = {"observed": np.nan, "predicted": np.nan, "sd": np.nan, "p": p}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table["passed"] = table["p"] > level
    return FitCheck(
        table=table.set_axis(pd.MultiIndex.from_tuples(list(rows), names=["site", "discrepancy"])),
        loo_pit=loo_pit,
        num_bad_k=num_bad,
        predictions=evenly(x, MAX_SHOWN),
        observed=problem.observed,
        false_alarm=false_alarm,
        extremity=extremity,
    )


def _enough(problem: Problem, num: int | None, false_alarm: float) -> int:
    """Replicates with which the smallest p-value is below the level of each discrepancy."""
    sites = len(problem.views().structure.of_kind("observed"))
    discrepancies = len(FEATURES) * len(problem.views().fisher_rules) + (len(STATISTICS) + 1) * sites + 1
    least = int(np.ceil(2 * discrepancies / false_alarm))
    if num is None:
        return least
    if not isinstance(num, int | np.integer) or num < least:
        raise ValueError(
            f"`check_fit` needs `num` of at least {least} at a false-alarm rate of {false_alarm:g} for "
            f"{discrepancies} discrepancies, but {told(num)} came. Leave it out, or raise `false_alarm`."
        )
    return int(num)


def _realised(
    problem: Problem, theta: Mapping[str, np.ndarray], x: Mapping[str, np.ndarray]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Discrepancies of data and parameters: of the data observed, and of each replicate, at the same draws."""
    number = len(next(iter(theta.values())))
    once = problem.batch(observed={name: value[None] for name, value in problem.observed.items()})
    observed = evaluated(once, np.zeros(1, int), {name: values[None] for name, values in theta.items()})
    predicted = evaluated(
        problem.batch(observed=x), np.arange(number), {name: values[:, None] for name, values in theta.items()}
    )
    labels = [(name, f"residuals: {feature}") for name, _ in problem.views().fisher_rules for feature in FEATURES]
    rows = {
        label: _compared(observed["features"][0, :, i], predicted["features"][:, 0, i])
        for i, label in enumerate(labels)
    }
    rows["all sites", "log-likelihood"] = _compared(observed["log_likelihood"][0], predicted["log_likelihood"][:, 0])
    return rows


def _compared(observed: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Two-sided p-value of a discrepancy, ties counted half, and never zero."""
    above = np.mean(predicted > observed) + 0.5 * np.mean(predicted == observed)
    tail = (len(predicted) * min(above, 1 - above) + 1) / (len(predicted) + 1)
    return {
        "observed": float(np.mean(observed)),
        "predicted": float(np.mean(predicted)),
        "sd": float(np.std(predicted)),
        "p": min(1.0, 2 * tail),
    }


def _of_data(
    problem: Problem, x: Mapping[str, np.ndarray], log_likelihood: Mapping[str, np.ndarray]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Discrepancies of the data alone."""
    rows = {}
    for site, observed in problem.observed.items():
        counts = _is_datum(observed, log_likelihood[site])
        flat = x[site].reshape(len(x[site]), -1)[:, counts]
        if flat.shape[1] < 2:
            continue
        for name, statistic in STATISTICS.items():
            value = statistic(observed.ravel()[counts].astype(float))
            rows[site, name] = _compared(np.full(len(flat), value), statistic(flat.astype(float)))
    return rows


def _is_datum(observed: np.ndarray, log_likelihood: np.ndarray) -> np.ndarray:
    """Which entries are not masked: a masked one has a likelihood of one whatever the draw."""
    if log_likelihood.shape[1:] != observed.shape:
        return np.ones(observed.size, bool)
    return ~(log_likelihood == 0).all(0).ravel()


def _loo_pits(
    problem: Problem,
    x: Mapping[str, np.ndarray],
    log_likelihood: Mapping[str, np.ndarray],
    efficiency: Any,
    random: np.random.Generator,
) -> tuple[dict[str, np.ndarray], int]:
    """LOO-PITs of the sites whose data have a likelihood each, ties at random; and how many are unreliable."""
    pits, num_bad = {}, 0
    for site, observed in problem.observed.items():
        values = log_likelihood[site]
        if values.shape[1:] != observed.shape or observed.ndim == 0:
            continue
        counts = np.flatnonzero(_is_datum(observed, values))
        counts = counts[np.linspace(0, counts.size - 1, min(counts.size, MAX_LEFT_OUT)).astype(int)]
        flat = values.reshape(len(values), -1)[:, counts].T
        with np.errstate(over="ignore"):  # of the heaviest tails
            log_weights, khat = array_stats.psislw(flat, r_eff=efficiency, axis=-1)
        weights = np.exp(log_weights - log_weights.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        # Replicates of one draw are as many draws apart as there are distinct ones.
        predicted, datum = x[site].reshape(-1, len(values), observed.size)[..., counts], observed.ravel()[counts]
        below = (predicted < datum).mean(0) + random.random(len(flat)) * (predicted == datum).mean(0)
        pits[site] = np.clip((weights * below.T).sum(-1), 0.0, 1.0)
        num_bad += int(np.sum(khat > 0.7))
    return pits, num_bad
