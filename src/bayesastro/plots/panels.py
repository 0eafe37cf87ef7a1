"""One row of a picture of predictions: a curve over its residuals, or an image beside its prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bayesastro.plots.bands import intervals
from bayesastro.plots.style import COLORS, colors

__all__ = ["Curve", "Image", "Row"]

FURTHEST = 8.0
"""Residual [sd] beyond which data are shown at the edge, by triangles."""


@dataclass(frozen=True)
class Row:
    """Data and their predictions, NaN where left out."""

    label: str
    observed: np.ndarray
    """Shape (n,) or (ny, nx)."""
    predicted: np.ndarray
    """Shape (draw, n) or (draw, ny, nx)."""

    @property
    def residuals(self) -> np.ndarray:
        """In standard deviations of the predictions; infinite where these are all equal, and the datum is another."""
        with np.errstate(divide="ignore", invalid="ignore"):
            away, sd = self.observed - self.predicted.mean(0), self.predicted.std(0)
            return np.where((away == 0) & (sd == 0), 0.0, away / sd)


@dataclass(frozen=True)
class Curve(Row):
    """Data over an abscissa."""

    x: np.ndarray
    sigma: np.ndarray | None
    by: np.ndarray | None
    """Label of each datum's group, shape (n,)."""
    xlabel: str
    kind: str
    """Of intervals: "auto", "band" or "bars"."""

    num_axes: ClassVar[int] = 2
    size: ClassVar[tuple[float, float]] = (7.0, 5.0)
    grid: ClassVar[dict[str, Any]] = {"nrows": 2, "ncols": 1, "height_ratios": (3, 1), "sharex": True}

    def draw(self, axes: Sequence[Axes], *, with_legend: bool, **style: Any) -> None:
        """Bands under the data, and residuals below."""
        upper, lower = axes
        residuals, is_shown = self.residuals, np.isfinite(self.observed)
        by = np.full(len(self.x), "predicted") if self.by is None else self.by.astype(str)
        groups = list(dict.fromkeys(by[is_shown].tolist()))
        level = COLORS[0] if self.by is None else "0.5"
        lower.axhspan(-2, 2, color=level, alpha=0.2, lw=0)
        lower.axhline(0, color=level, lw=0.8)
        for group, color in zip(groups, colors(len(groups)), strict=True):
            chosen = is_shown & (by == group)
            x, y, residual = self.x[chosen], self.observed[chosen], residuals[chosen]
            intervals(upper, x, self.predicted[:, chosen], kind=self.kind, color=color, label=group)
            fill, label = ("0.15", "observed") if self.by is None else (color, None)
            points: dict[str, Any] = {"color": fill, "ms": 4, "mec": "0.15", "mew": 0.5, "lw": 0.8}
            upper.errorbar(x, y, None if self.sigma is None else self.sigma[chosen], fmt=".", label=label, **points)
            lower.plot(x, np.where(abs(residual) <= FURTHEST, residual, np.nan), ".", **points)
            for side, marker in ((1, "^"), (-1, "v")):
                far = side * residual > FURTHEST
                lower.plot(x[far], np.full(far.sum(), side * FURTHEST), marker, **points)
        if self.x.dtype.kind in "iu":
            lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        upper.set_ylabel(self.label)
        lower.set(xlabel=self.xlabel, ylabel="residual [sd]")
        if with_legend:
            upper.legend(frameon=False)


@dataclass(frozen=True)
class Image(Row):
    """Data over a plane: rows along y, columns along x."""

    num_axes: ClassVar[int] = 3
    size: ClassVar[tuple[float, float]] = (12.0, 3.6)
    grid: ClassVar[dict[str, Any]] = {"nrows": 1, "ncols": 3, "sharex": True, "sharey": True}

    def draw(self, axes: Sequence[Axes], *, with_legend: bool, **style: Any) -> None:
        """Data, mean of the predictions, and residuals; `style` is that of the first two."""
        mean = np.where(np.isfinite(self.observed), self.predicted.mean(0), np.nan)
        limits = {} if "norm" in style else {"vmin": np.nanmin(self.observed), "vmax": np.nanmax(self.observed)}
        shared = {"cmap": "viridis", **limits, **style}
        residuals = np.clip(self.residuals, -FURTHEST, FURTHEST)
        panels = (
            ("observed", self.observed, shared, self.label),
            ("predicted", mean, shared, self.label),
            ("residual", residuals, {"vmin": -4, "vmax": 4, "cmap": "RdBu_r"}, "[sd]"),
        )
        for axis, (title, image, settings, unit) in zip(axes, panels, strict=True):
            drawn = axis.imshow(image, **{"origin": "lower", **settings})
            axis.figure.colorbar(drawn, ax=axis, shrink=0.85).set_label(unit)
            axis.set(title=title, xlabel="x [pixel]")
        axes[0].set_ylabel("y [pixel]")
