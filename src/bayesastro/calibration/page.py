"""The page of a calibration: ranks, coverage, TARP, and bias beside shrinkage, with the bands of the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesastro.calibration.checks import MIN_FITS, Assessment, Pool, assess
from bayesastro.calibration.outcomes import Outcomes
from bayesastro.calibration.sbc import ecdf_band, ecdf_grid
from bayesastro.calibration.tarp import bootstrap_band
from bayesastro.plots import COLORS

__all__ = ["Page", "is_calibration", "page_of"]

Styles = Mapping[str, Mapping[str, Any]]
"""Of lines and points, by quantity."""

OTHERS = "0.7"
"""Colour of the parameters that are not named: all but the furthest off, where there are many."""

HPD: Styles = {"hpd": {"color": "k", "label": "hpd", "zorder": 2.5}}
"""Of regions of highest density, wherever they are drawn."""

WIDTH_OF_LEGEND, LEGEND_KEY = 150, 8
"""Letters that the legend of the parameters has room for in a row, and those that the key of an entry takes."""


def is_calibration(tree: xr.DataTree) -> bool:
    """Whether this is a calibration's report, and no result of a fit."""
    return {"pool", "checks"} <= set(tree.children)


def page_of(tree: xr.DataTree) -> Figure:
    """The page of a report that was written to a file; its checks are made again, with the same seed.

    Parameters
    ----------
    tree : xarray.DataTree
        Of :meth:`CalibrationReport.to_datatree`.

    Raises
    ------
    ValueError
        If too few fits succeeded or were done for there to be anything to show.
    """
    stored, attributes = tree["pool"].to_dataset(), tree.attrs
    outcomes = Outcomes.of_file(tree["fits"].to_dataset())
    outcomes.require(MIN_FITS, "the picture", attributes["checkpoint"])
    prefix = "reference_"
    pool = Pool(
        labels=[str(label) for label in stored["parameter"].values],
        theta=stored["theta"].values,
        coordinates=stored["coordinates"].values,
        log_likelihood=stored["log_likelihood"].values,
        log_density=stored["log_density"].values,
        references={str(n).removeprefix(prefix): v.values for n, v in stored.items() if str(n).startswith(prefix)},
        numbers=stored["simulation"].values,
        num_failed=int(attributes["num_failed"]),
    )
    assessment = assess(pool, false_alarm=float(attributes["false_alarm"]), seed=int(attributes["seed"]))
    return Page(assessment, pool).drawn(f"{attributes['calibration']}: {attributes['engine']}, {outcomes.counted()}")


@dataclass(frozen=True)
class Page:
    """What is drawn of a calibration.

    Parameters
    ----------
    assessment : Assessment
    pool : Pool
    """

    assessment: Assessment
    pool: Pool

    def drawn(self, title: str) -> Figure:
        """The page under a title."""
        figure, axes = plt.subplots(2, 3, figsize=(13, 8.5), layout="constrained")
        styles, joint = self.styles(self.furthest_off_last()), {**self.styles(["log_likelihood"]), **HPD}
        self._draw_ranks(axes[0, 0], styles, "ranks", "truths among the draws")
        self._draw_ranks(axes[0, 1], joint, "log_likelihood", "joint quantities")
        self._draw_ranks(axes[0, 2], self.styles(["tarp", "tarp_data"]), "tarp", "distances to references")
        self._draw_coverage(axes[1, 0], {**styles, **HPD} if self.pool.has_density else styles)
        self._draw_tarp(axes[1, 1])
        self._draw_bias(axes[1, 2], styles)
        self._add_legends(figure, axes)
        figure.suptitle(title, fontsize=12)
        return figure

    @staticmethod
    def _add_legends(figure: Figure, axes: np.ndarray) -> None:
        """Below the panels, where they cover nothing: of the parameters one for the three panels that show them."""
        for axis in (axes[0, 1], axes[0, 2], axes[1, 1]):
            if axis.axison:
                axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False, fontsize=8)
        handles, labels = axes[1, 0].get_legend_handles_labels()
        columns = max(1, min(len(labels), WIDTH_OF_LEGEND // (LEGEND_KEY + max(map(len, labels)))))
        placed = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 9}
        figure.legend(handles, labels, **placed, title="truths among the draws, coverage, bias:", title_fontsize=9)

    def _departure(self, label: str) -> np.ndarray:
        """ECDF of a quantity's fractional ranks minus the uniform one, at each place of the grid."""
        grid = ecdf_grid(self.pool.size)
        return (self.assessment.pit[label].to_numpy() <= grid[:, None]).mean(1) - grid

    def furthest_off_last(self) -> list[str]:
        """Parameters, by how far the ranks of their truths are from uniform ones."""
        return sorted(self.pool.labels, key=lambda label: np.abs(self._departure(label)).max())

    @staticmethod
    def styles(labels: Sequence[str]) -> Styles:
        """Colour, name in the legend and order of each: the last ones are named, those before them grey; one alone is, too."""
        number = max(0, len(labels) - len(COLORS))
        first = labels[0] if number == 1 else f"{number} others"
        styles: Styles = {
            label: {"color": OTHERS, "label": None if i else first, "zorder": 1.5}
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

    def _draw_coverage(self, axis: Axes, styles: Styles) -> None:
        """Coverage at each level with its interval."""
        step = min(0.004, 0.06 / len(styles))
        for i, (label, style) in enumerate(styles.items()):
            rows = self.assessment.coverage.loc[label]
            place = np.asarray(rows.index, float) + step * (i - len(styles) / 2)
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["coverage"].to_numpy())
            axis.errorbar(place, rows["coverage"], yerr=error, fmt="o", ms=3, lw=1, **style)
        axis.plot([0.4, 1], [0.4, 1], color="0.6", lw=0.8, zorder=0)
        axis.set(xlabel="credibility", ylabel="coverage (95 % interval)", title="coverage")

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

    def _draw_bias(self, axis: Axes, styles: Styles) -> None:
        """Bias against shrinkage."""
        for label, style in styles.items():
            row = self.assessment.parameters.loc[label]
            axis.errorbar(row["shrinkage"], row["bias"], yerr=2 * row["bias_error"], fmt="o", ms=4, lw=1.2, **style)
        axis.axhline(0, color="0.6", lw=0.8)
        axis.set(xlabel="shrinkage of the variance", ylabel="bias [posterior sd], ± 2 errors", title="bias")
        axis.set_xlim(min(-0.05, axis.get_xlim()[0]), 1.05)
