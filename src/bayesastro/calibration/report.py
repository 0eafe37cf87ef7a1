"""The report of a calibration: tables, verdict, pictures, and its way into a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesastro.batch import Batch
from bayesastro.calibration.checks import Assessment, Pool, lines_of
from bayesastro.calibration.coverage import LEVELS, binned_coverage
from bayesastro.calibration.members import FEATURES, MAX_RANKED, evaluated
from bayesastro.calibration.misspecification import Plausibility, plausibility
from bayesastro.calibration.recalibration import Recalibration, recalibrate
from bayesastro.calibration.sbc import ecdf_band, ecdf_grid
from bayesastro.calibration.tarp import bootstrap_band
from bayesastro.plots import COLORS
from bayesastro.predictive import evenly, latent_draws
from bayesastro.problem import Problem

__all__ = ["CalibrationReport", "going_on"]

PLACES = {"prior": "from the prior", "observed": "near the observed data"}

Styles = Mapping[str, Mapping[str, Any]]
"""Of lines and points, by quantity."""

OTHERS = "0.7"
"""Colour of the parameters that are not named: all but the furthest off, where there are many."""


def going_on(checkpoint: str) -> str:
    """How to go on with a calibration that was interrupted; the checkpoint is empty if it has none."""
    if checkpoint:
        return f"The same call goes on from `{checkpoint}`."
    return "Nothing is kept: give `checkpoint` a folder, from which the same call then goes on."


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """What :func:`calibrate` found.

    Attributes
    ----------
    assessment : Assessment
        Tables of the checks.
    pool : Pool
        Truths and draws.
    batch : Batch
        The simulated data sets.
    features : array, shape (simulation, feature)
        Of the residuals of each fit.
    effective_draws : array, shape (simulation,)
        Independent draws of each fit; zero where it failed or was not reached.
    reached : array of bool, shape (simulation,)
        Whether each fit came to an end before an interruption.
    near : str
        ``"prior"`` or ``"observed"``: where the simulations come from.
    false_alarm : float
    attributes : dict
        Engine, settings, seed, numbers, checkpoint and seconds.
    """

    assessment: Assessment
    pool: Pool = field(repr=False)
    batch: Batch = field(repr=False)
    features: np.ndarray = field(repr=False)
    effective_draws: np.ndarray = field(repr=False)
    reached: np.ndarray = field(repr=False)
    near: str
    false_alarm: float
    attributes: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """``"pass"`` if every check passed, otherwise ``"fail"``; a right posterior fails at the rate `false_alarm`.

        ``"incomplete"`` if it was interrupted before all simulations were fitted, whatever the checks say of the others.
        """
        if not self.reached.all():
            return "incomplete"
        return "pass" if bool(self.checks["passed"].all()) else "fail"

    @property
    def checks(self) -> pd.DataFrame:
        """By check: its p-value, whether it passed, and the quantity furthest off."""
        return self.assessment.checks

    @property
    def coverage(self) -> pd.DataFrame:
        """By quantity and level: coverage with its 95 % interval, and its bounds by the fits that failed."""
        return self.assessment.coverage

    @property
    def num_failed(self) -> int:
        """Fits without enough draws, among those that came to an end."""
        return self.pool.num_failed

    def summary(self) -> pd.DataFrame:
        """By parameter: bias in posterior sds with its error, spread, shrinkage, and coverage at each level."""
        table = self.assessment.parameters
        if not len(table):
            return table
        covered = {
            f"coverage_{100 * level:.0f}": [self.coverage.at[(label, level), "coverage"] for label in table.index]
            for level in LEVELS
        }
        return table.join(pd.DataFrame(covered, index=table.index))

    def coverage_by(self, values: np.ndarray, edges: Sequence[float]) -> pd.DataFrame:
        """Coverage of the parameters' central regions in bins of a number, such as the signal-to-noise ratio of the data.

        Parameters
        ----------
        values : array, shape (simulation,)
            For each of the simulations, as the observed values of ``batch`` have them.
        edges : sequence of float
            Rising, those of the bins; what is outside is left out.

        Returns
        -------
        pandas.DataFrame
            See :func:`bayesastro.calibration.coverage.binned_coverage`.

        Raises
        ------
        ValueError
            If there is not one number for each simulation, edges do not rise, or a bin has no simulation.
        """
        if np.shape(values) != (self.batch.size,):
            raise ValueError(
                f"`values` must be {self.batch.size}, one for each simulation, but shape {np.shape(values)} came."
            )
        place = {label: np.abs(2 * self.assessment.pit[label].to_numpy() - 1) for label in self.pool.labels}
        return binned_coverage(place, np.asarray(values, float)[self.pool.numbers], edges)

    def __str__(self) -> str:
        number, level = self.attributes["num_simulations"], self.assessment.level
        draws = self.effective_draws[self.effective_draws > 0]
        of = "" if self.reached.all() else f"{self.reached.sum()} of "
        lines = [
            f"{self.verdict}: {self.attributes['engine']} on {of}{number} simulations {PLACES[self.near]}, at a "
            f"false-alarm rate of {self.false_alarm:g} (p ≤ {level:.2g} fails)",
            f"{self.num_failed} fits failed; {np.median(draws) if len(draws) else 0:.0f} independent draws of each, at least "
            f"{draws.min() if len(draws) else 0:.0f}; {self.attributes['seconds']:.1f} s",
        ]
        if of:
            told = f"{of}{number} simulations were fitted before the interruption, which is no verdict."
            lines.insert(1, f"{told} {going_on(self.attributes['checkpoint'])}")
        return "\n".join([*lines, *([] if of and not len(self.assessment.pit) else lines_of(self.checks))])

    def plausibility(self, problem: Problem, result: xr.DataTree, *, false_alarm: float = 0.01) -> Plausibility:
        """Say whether the observed data are among those that the program can produce.

        Parameters
        ----------
        problem : Problem
            With the observed data.
        result : xarray.DataTree
            Its fit by the engine that was calibrated.
        false_alarm : float

        Raises
        ------
        ValueError
            If the simulations are not from the prior, the result is of another program, or no observed site has
            residuals that are known.
        """
        if self.near != "prior":
            raise ValueError('`plausibility` needs simulations from the prior. Calibrate with `near="prior"`.')
        if problem.fingerprint != self.attributes["program_fingerprint"]:
            raise ValueError("The problem is of another program than the one calibrated. Calibrate it, too.")
        rules = problem.views().fisher_rules
        if not rules:
            raise ValueError(
                "`plausibility` needs an observed site whose residuals are known. Make its family known with "
                "`bayesastro.register_fisher`; or, for an `Amortised` posterior, ask `check_local(...).plausibility`."
            )
        draws = evenly(latent_draws(problem, result), MAX_RANKED)
        batch = problem.batch(observed={name: value[None] for name, value in problem.observed.items()})
        found = evaluated(batch, np.zeros(1, int), {name: values[None] for name, values in draws.items()})
        labels = [(name, feature) for name, _ in rules for feature in FEATURES]
        return plausibility(self.features, found["features"][0].mean(0), labels, false_alarm)

    def recalibrate(self) -> Recalibration:
        """Learn a correction of the posteriors from one half of the simulations and prove it on the other.

        Raises
        ------
        ValueError
            If the simulations are not from the prior, or fewer than 40 have draws.
        """
        if self.near != "prior":
            raise ValueError('`recalibrate` needs simulations from the prior. Calibrate with `near="prior"`.')
        return recalibrate(
            self.pool,
            self.batch,
            false_alarm=self.false_alarm,
            seed=self.attributes["seed"],
            program_fingerprint=self.attributes["program_fingerprint"],
        )

    def to_datatree(self) -> xr.DataTree:
        """Everything as an `xarray.DataTree`, for :func:`bayesastro.save`."""
        pool, tables = self.pool, self.assessment
        members = ("simulation", "member")
        groups = {
            "pool": xr.Dataset(
                {
                    "theta": ((*members, "parameter"), pool.theta),
                    "coordinates": ((*members, "coordinate"), pool.coordinates),
                    "log_likelihood": (members, pool.log_likelihood),
                    "log_density": (members, pool.log_density),
                    **{f"reference_{n}": (("simulation", "coordinate"), at) for n, at in pool.references.items()},
                },
                {"simulation": pool.numbers, "parameter": pool.labels},
            ),
            "pit": xr.Dataset(
                {"pit": (("simulation", "quantity"), tables.pit.to_numpy())}, {"quantity": list(tables.pit)}
            ),
            "checks": tables.checks.astype({"where": str}).to_xarray(),
            "parameters": tables.parameters.to_xarray(),
            "coverage": tables.coverage.to_xarray() if len(tables.coverage) else xr.Dataset(),
            "fits": xr.Dataset(
                {"effective_draws": ("dataset", self.effective_draws), "reached": ("dataset", self.reached)}
            ),
        }
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = dict(self.attributes) | {
            "calibration": self.verdict,
            "near": self.near,
            "false_alarm": self.false_alarm,
            "num_failed": self.num_failed,
        }
        return tree

    def plot(self) -> Figure:
        """Ranks, coverage, TARP, and bias beside shrinkage, with the bands of the verdict.

        Raises
        ------
        ValueError
            If too few fits succeeded or were done for there to be anything to show.
        """
        if not len(self.assessment.pit):
            raise ValueError("Too few fits succeeded or were done: there is nothing to show.")
        figure, axes = plt.subplots(2, 3, figsize=(13, 7.5))
        styles = self._styles(self._furthest_off_last())
        self._draw_ranks(axes[0, 0], styles, "ranks", "truths among the draws")
        self._draw_ranks(axes[0, 1], self._styles(["log_likelihood", "hpd"]), "log_likelihood", "joint quantities")
        self._draw_ranks(axes[0, 2], self._styles(["tarp", "tarp_data"]), "tarp", "distances to references")
        self._draw_coverage(axes[1, 0], styles)
        self._draw_tarp(axes[1, 1])
        self._draw_bias(axes[1, 2], styles)
        figure.suptitle(f"{self.verdict}: {self.attributes['engine']}, {self.pool.size} simulations", fontsize=12)
        figure.tight_layout()
        return figure

    def _departure(self, label: str) -> np.ndarray:
        """ECDF of a quantity's fractional ranks minus the uniform one, at each place of the grid."""
        grid = ecdf_grid(self.pool.size)
        return (self.assessment.pit[label].to_numpy() <= grid[:, None]).mean(1) - grid

    def _furthest_off_last(self) -> list[str]:
        """Parameters, by how far the ranks of their truths are from uniform ones."""
        return sorted(self.pool.labels, key=lambda label: np.abs(self._departure(label)).max())

    @staticmethod
    def _styles(labels: Sequence[str]) -> Styles:
        """Colour, name in the legend and order of each: the last ones are named, those before them grey."""
        number = max(0, len(labels) - len(COLORS))
        styles: Styles = {
            label: {"color": OTHERS, "label": None if i else f"{number} others", "zorder": 1.5}
            for i, label in enumerate(labels[:number])
        }
        named = zip(labels[number:], COLORS, strict=False)
        return {**styles} | {label: {"color": color, "label": label, "zorder": 2.5} for label, color in named}

    def _draw_ranks(self, axis: Axes, styles: Styles, check: str, title: str) -> None:
        """ECDFs of fractional ranks minus the uniform one, with the simultaneous band."""
        if check not in self.assessment.extremity:
            axis.set_axis_off()
            axis.set_title(f"{title}: the program has no density", fontsize=9)
            return
        grid = ecdf_grid(self.pool.size)
        low, high = ecdf_band(self.pool.size, self.assessment.extremity[check])
        axis.fill_between(grid, low - grid, high - grid, color="0.88", lw=0)
        for label, style in styles.items():
            axis.plot(grid, self._departure(label), lw=1.4, **style)
        axis.axhline(0, color="0.6", lw=0.8)
        axis.set(xlabel="fractional rank", ylabel="ECDF − uniform", title=title)
        axis.legend(frameon=False, fontsize=8)

    def _draw_coverage(self, axis: Axes, styles: Styles) -> None:
        """Coverage at each level with its interval."""
        if self.pool.has_density:
            styles = {**styles, "hpd": {"color": "k", "label": "hpd", "zorder": 2.5}}
        step = min(0.004, 0.06 / len(styles))
        for i, (label, style) in enumerate(styles.items()):
            rows = self.coverage.loc[label]
            place = np.asarray(rows.index, float) + step * (i - len(styles) / 2)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["coverage"].to_numpy())
            axis.errorbar(place, rows["coverage"], yerr=error, fmt="o", ms=3, lw=1, **style)
        axis.plot([0.4, 1], [0.4, 1], color="0.6", lw=0.8, zorder=0)
        axis.set(xlabel="credibility", ylabel="coverage (95 % interval)", title="coverage")
        axis.legend(frameon=False, fontsize=8)

    def _draw_tarp(self, axis: Axes) -> None:
        """Expected coverage of TARP's balls with bootstrap bands."""
        grid, random = np.linspace(0, 1, 101), np.random.default_rng(0)
        for color, (name, text) in zip(
            COLORS, {"tarp": "random references", "tarp_data": "estimates from the data"}.items(), strict=False
        ):
            pit = self.assessment.pit[name].to_numpy()
            low, high = bootstrap_band(pit, grid, random)
            axis.fill_between(grid, low, high, color=color, alpha=0.25, lw=0)
            axis.plot(grid, (pit <= grid[:, None]).mean(1), color=color, lw=1.4, label=text)
        axis.plot([0, 1], [0, 1], color="0.6", lw=0.8, zorder=0)
        axis.set(xlabel="credibility", ylabel="expected coverage (bootstrap 95 %)", title="TARP")
        axis.legend(frameon=False, fontsize=8)

    def _draw_bias(self, axis: Axes, styles: Styles) -> None:
        """Bias against shrinkage."""
        for label, style in styles.items():
            row = self.assessment.parameters.loc[label]
            axis.errorbar(row["shrinkage"], row["bias"], yerr=2 * row["bias_error"], fmt="o", ms=4, lw=1.2, **style)
        axis.axhline(0, color="0.6", lw=0.8)
        axis.set(xlabel="shrinkage of the variance", ylabel="bias [posterior sd], ± 2 errors", title="bias")
        axis.set_xlim(min(-0.05, axis.get_xlim()[0]), 1.05)
        axis.legend(frameon=False, fontsize=8)
