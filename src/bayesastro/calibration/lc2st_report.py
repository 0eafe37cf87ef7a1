"""The report of `check_local`: verdict, what is off at each data set, and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesastro.calibration.misspecification import Plausibility
from bayesastro.calibration.two_sample import LocalTest
from bayesastro.plots import COLORS

__all__ = ["LocalReport"]

MAX_MAPS = 2
"""Pairs of parameters that are mapped."""


@dataclass(frozen=True, kw_only=True)
class LocalReport:
    """What :func:`check_local` found.

    Attributes
    ----------
    tests : tuple of LocalTest
        By data set.
    p : array, shape (dataset,)
        Fraction of replicates of the null with a statistic as large.
    level : float
        A data set fails if its p-value does not exceed it.
    false_alarm : float
    points : tuple of array, shape (draw, coordinate)
        Posterior draws by data set, in units of the posterior: its mean is 0 and its covariance 1.
    draws : tuple of pandas.DataFrame
        The same draws by parameter.
    labels : list of str
        Of the coordinates.
    plausibility : tuple of Plausibility
        By data set, whether the network's summary of the data is like those of simulations.
    attributes : dict
        Numbers, seconds, and what the classifier saw: ``"data"``, or the network's ``"summary"``.
    """

    tests: tuple[LocalTest, ...] = field(repr=False)
    p: np.ndarray
    level: float
    false_alarm: float
    points: tuple[np.ndarray, ...] = field(repr=False)
    draws: tuple[pd.DataFrame, ...] = field(repr=False)
    labels: list[str]
    plausibility: tuple[Plausibility, ...] = field(repr=False)
    attributes: Mapping[str, Any]

    @property
    def passed(self) -> np.ndarray:
        """By data set."""
        return self.p > self.level

    @property
    def verdict(self) -> str:
        """``"pass"`` if every data set passed, otherwise ``"fail"``; a right posterior fails at the rate `false_alarm`."""
        return "pass" if bool(self.passed.all()) else "fail"

    def probabilities(self, dataset: int = 0) -> np.ndarray:
        """By posterior draw, the classifier's probability of a truth; where it exceeds ½ the posterior has too few."""
        return self.tests[dataset].probabilities[0]

    def summary(self) -> pd.DataFrame:
        """By data set: the statistic, its mean under the null, p-value, verdict, and whether the data are plausible."""
        rows = [
            {
                "statistic": test.statistics[0],
                "null_mean": test.statistics[1:].mean(),
                "p": p,
                "passed": bool(passed),
                "plausible": found.verdict == "pass",
            }
            for test, p, passed, found in zip(self.tests, self.p, self.passed, self.plausibility, strict=True)
        ]
        return pd.DataFrame(rows).rename_axis("dataset")

    def parameters(self, dataset: int = 0) -> pd.DataFrame:
        """How truths differ from posterior draws at a data set, in units of the posterior, by direction.

        Directions are those of the Cholesky factor: each coordinate with what those before it say taken out. ``shift``
        is the mean of the truths less that of the draws, and ``spread`` their sd over that of the draws, as the
        classifier has them; it errs towards no difference. ``shift_null`` and ``spread_null`` are half-widths of the
        band that holds 95 % of the replicates of the null.
        """
        points, probability = self.points[dataset], self.tests[dataset].probabilities
        odds = probability / np.maximum(1 - probability, 0.05)
        weight = odds / odds.sum(1, keepdims=True)
        mean = weight @ points
        spread = np.sqrt(weight @ points**2 - mean**2) / points.std(0)
        shift = mean - points.mean(0)
        band = {"shift_null": np.abs(shift[1:]), "spread_null": np.abs(spread[1:] - 1)}
        table = {"shift": shift[0], "spread": spread[0]} | {n: np.quantile(v, 0.95, axis=0) for n, v in band.items()}
        return pd.DataFrame(table, index=pd.Index(self.labels, name="coordinate"))

    def __str__(self) -> str:
        number = len(self.tests)
        sets = "the observed data" if number == 1 else f"{number} data sets"
        lines = [
            f"{self.verdict}: the posterior at {sets}, by {self.attributes['num_simulations']} simulations, at a "
            f"false-alarm rate of {self.false_alarm:g} (p ≤ {self.level:.2g} fails); {self.attributes['seconds']:.1f} s"
        ]
        for i, (p, passed, found) in enumerate(zip(self.p, self.passed, self.plausibility, strict=True)):
            told = f"  {'pass' if passed else 'FAIL'}  {f'data set {i}: ' if number > 1 else ''}p = {p:.2g}"
            lines.append(told if passed else f"{told}; {self._worst(i)}")
            if found.verdict == "fail":
                lines.append(
                    f"        the network has hardly seen such data, so that nothing is known of it here: {found}"
                )
        return "\n".join(lines)

    def _worst(self, dataset: int) -> str:
        """The direction that is furthest off, in words."""
        table = self.parameters(dataset)
        shift = np.abs(np.asarray(table["shift"] / table["shift_null"]))
        spread = np.abs(np.asarray((table["spread"] - 1) / table["spread_null"]))
        if shift.max() > spread.max():
            row = table.iloc[int(shift.argmax())]
            return f"truths lie {row['shift']:+.2f} posterior sd from the draws in `{row.name}`"
        row = table.iloc[int(spread.argmax())]
        return f"truths scatter {row['spread']:.2f} times as much as the draws in `{row.name}`"

    def plot(self, dataset: int = 0) -> Figure:
        """P–P plot of the classifier's probabilities with the null's band, and maps of where draws are too few."""
        columns = list(self.draws[dataset])
        order = [columns[i] for i in np.argsort(-self._importance(dataset))]
        pairs = (
            [(order[0], order[0])] if len(order) < 2 else list(zip(order[::2], order[1::2], strict=False))[:MAX_MAPS]
        )
        figure, axes = plt.subplots(1, 1 + len(pairs), figsize=(4.4 * (1 + len(pairs)), 3.9), squeeze=False)
        self._draw_pp(axes[0, 0], dataset)
        for axis, pair in zip(axes[0, 1:], pairs, strict=True):
            self._draw_map(axis, dataset, *pair)
        figure.suptitle(f"{'pass' if self.passed[dataset] else 'fail'}: p = {self.p[dataset]:.2g}", fontsize=12)
        figure.tight_layout()
        return figure

    def _importance(self, dataset: int) -> np.ndarray:
        """How much the probability depends on each parameter, by its variance between tenths of the draws."""
        excess = self.probabilities(dataset) - 0.5
        values = self.draws[dataset].to_numpy()
        tenths = (np.array_split(excess[np.argsort(column)], 10) for column in values.T)
        return np.array([np.var([part.mean() for part in parts]) for parts in tenths])

    def _draw_pp(self, axis: Axes, dataset: int) -> None:
        """Fraction of draws up to each probability, and the pointwise band of 95 % of the null."""
        every = self.tests[dataset].probabilities
        grid = np.linspace(every.min(), every.max(), 101)
        ecdf = np.stack([np.searchsorted(np.sort(row), grid, side="right") / len(row) for row in every])
        low, high = np.quantile(ecdf[1:], [0.025, 0.975], axis=0)
        axis.fill_between(grid, low, high, color="0.85", lw=0, label="right posteriors, 95 %")
        axis.plot(grid, ecdf[0], color=COLORS[0], lw=1.6, label="this posterior")
        axis.axvline(0.5, color="0.6", lw=0.8)
        axis.set(xlabel="probability of a truth", ylabel="fraction of posterior draws", title="P–P plot")
        axis.legend(frameon=False, fontsize=8)

    def _draw_map(self, axis: Axes, dataset: int, first: str, second: str) -> None:
        """Posterior draws, coloured by the classifier's probability."""
        table, probability = self.draws[dataset], self.probabilities(dataset)
        limit = max(0.02, float(np.quantile(np.abs(probability - 0.5), 0.98)))
        y = probability if first == second else table[second]
        shown = axis.scatter(
            table[first], y, c=probability, cmap="RdBu_r", vmin=0.5 - limit, vmax=0.5 + limit, s=8, lw=0
        )
        axis.set(
            xlabel=first, ylabel="probability of a truth" if first == second else second, title="too few draws: red"
        )
        axis.figure.colorbar(shown, ax=axis, label="probability of a truth")
