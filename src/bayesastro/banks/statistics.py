"""What a bank's rows are like: moments for standardisation, constant columns, and where simulations fail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from bayesastro.labels import labels_of, listed

__all__ = ["BankMoments", "Failures", "Moments", "failures_of", "labels_of", "listed", "moments_of"]

SAMPLE_BYTES = 64 * 2**20
"""Of the coordinates from which the edges of bins are found."""

SIGNIFICANT = 0.01
"""Probability of calling a failure rate that is the same everywhere one that varies."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Statistics of an array over rows, in double precision; NaN without rows.

    Attributes
    ----------
    mean, sd, least, greatest : array
        Of the shape of one row. The standard deviation is the population's (divided by the number of rows).
    """

    mean: np.ndarray
    sd: np.ndarray
    least: np.ndarray
    greatest: np.ndarray

    @property
    def is_constant(self) -> np.ndarray:
        """Where all rows are the same."""
        return self.least == self.greatest


@dataclass(frozen=True, kw_only=True)
class BankMoments:
    """Statistics of a bank over rows.

    Attributes
    ----------
    num_rows : int
    coordinates : Moments
        Of shape (coordinate,).
    observed : dict of str to Moments
        Of each site's shape.
    constant : list of str
        Coordinates and entries of observed sites that are the same in all rows; masked ones are among them.
    """

    num_rows: int
    coordinates: Moments
    observed: Mapping[str, Moments]
    constant: Sequence[str]


def moments_of(
    parts: Iterable[tuple[np.ndarray, Mapping[str, np.ndarray]]], labels: Sequence[str], shapes: Mapping[str, Any]
) -> BankMoments:
    """Statistics over rows that come in parts."""
    coordinates, observed = _Running((len(labels),)), {name: _Running(shape) for name, shape in shapes.items()}
    for part, values in parts:
        coordinates.add(part)
        for name, running in observed.items():
            running.add(values[name])
    found, sites = coordinates.moments(), {name: running.moments() for name, running in observed.items()}
    is_constant = np.concatenate([found.is_constant, *(site.is_constant.ravel() for site in sites.values())])
    names = [*labels, *labels_of(shapes.items())]
    constant = [name for name, same in zip(names, is_constant, strict=True) if same]
    return BankMoments(num_rows=coordinates.number, coordinates=found, observed=sites, constant=constant)


class _Running:
    """Moments of parts, merged by Chan's formula; stable where the mean is much larger than the sd."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.number, self.mean, self.squares = 0, np.zeros(shape), np.zeros(shape)
        self.least, self.greatest = np.full(shape, np.inf), np.full(shape, -np.inf)

    def add(self, values: np.ndarray) -> None:
        if not len(values):
            return
        number = self.number + len(values)
        mean = values.mean(0, dtype=float)
        shift = mean - self.mean
        self.mean = self.mean + shift * len(values) / number
        self.squares += ((values - mean) ** 2).sum(0) + shift**2 * self.number * len(values) / number
        self.least, self.greatest = np.minimum(self.least, values.min(0)), np.maximum(self.greatest, values.max(0))
        self.number = number

    def moments(self) -> Moments:
        if not self.number:
            nothing = np.full(self.mean.shape, np.nan)
            return Moments(mean=nothing, sd=nothing, least=nothing, greatest=nothing)
        sd = np.sqrt(self.squares / self.number)
        return Moments(mean=self.mean, sd=sd, least=self.least, greatest=self.greatest)


@dataclass(frozen=True)
class Failures:
    """How often simulations fail, by bins of equally many rows along each coordinate.

    Attributes
    ----------
    failed, total : array of int, shape (coordinate, bin)
    num_failed, num_rows : int
        Of all rows, those among them whose coordinates are not finite and in no bin.
    labels : sequence of str
    """

    failed: np.ndarray
    total: np.ndarray
    num_failed: int
    num_rows: int
    labels: Sequence[str]

    @property
    def rates(self) -> pd.DataFrame:
        """Coordinates by bins; NaN where a bin is empty."""
        number = self.failed.shape[1]
        bins = [f"{100 * i / number:.0f}–{100 * (i + 1) / number:.0f} %" for i in range(number)]
        rates = np.divide(self.failed, self.total, out=np.full(self.failed.shape, np.nan), where=self.total > 0)
        return pd.DataFrame(rates, index=pd.Index(self.labels, name="coordinate"), columns=bins)

    @property
    def text(self) -> str:
        """One sentence: how many failed, and along which coordinate the rate varies most."""
        rate = self.num_failed / max(self.num_rows, 1)
        text = (
            f"{self.num_failed} of {self.num_rows} simulations ({_percent(rate)}) failed and are left out; the posterior "
            "learnt is that given a simulation that does not fail"
        )
        p_values = self._p_values()
        if not len(p_values) or p_values.min() > SIGNIFICANT / len(p_values):
            return f"{text}. Their rate does not vary noticeably with any parameter."
        worst = int(p_values.argmin())
        name, rates = self.labels[worst], self.rates.iloc[worst]
        low, high = rates.idxmin(), rates.idxmax()
        return (
            f"{text}. Their rate varies most with `{name}`: {_percent(rates[high])} at its quantiles {high}, "
            f"{_percent(rates[low])} at {low}."
        )

    def _p_values(self) -> np.ndarray:
        """Of one rate in all bins, by coordinate."""
        total, failed = self.total.astype(float), self.failed.astype(float)
        rate = (failed.sum(1) / np.maximum(total.sum(1), 1))[:, None]
        variance = total * rate * (1 - rate)
        terms = np.divide((failed - total * rate) ** 2, variance, out=np.zeros(total.shape), where=variance > 0)
        return chi2.sf(terms.sum(1), np.maximum((total > 0).sum(1) - 1, 1))


def _percent(rate: float) -> str:
    return f"{float(f'{100 * rate:.2g}'):g} %"


def failures_of(parts: Iterable[tuple[np.ndarray, np.ndarray]], labels: Sequence[str], num_bins: int) -> Failures:
    """Count failures by bins, over coordinates and marks of failed rows that come in parts.

    The edges of the bins are quantiles of the first rows.
    """
    number, edges = len(labels), None
    failed, total = np.zeros((2, number, num_bins), int)
    num_failed = num_rows = 0
    for coordinates, is_failed in _first_together(parts, number):
        num_failed, num_rows = num_failed + int(is_failed.sum()), num_rows + len(is_failed)
        if edges is None:
            edges = _quantiles(coordinates, np.arange(1, num_bins) / num_bins)
        is_finite = np.isfinite(coordinates)
        place = sum((coordinates > edge for edge in edges), np.zeros(coordinates.shape, int))
        for b in range(num_bins):
            inside = is_finite & (place == b)
            total[:, b] += inside.sum(0)
            failed[:, b] += (inside & is_failed[:, None]).sum(0)
    return Failures(failed, total, num_failed, num_rows, labels)


def _first_together(parts: Iterable[tuple[np.ndarray, np.ndarray]], number: int) -> Any:
    """The parts, those at the beginning joined to as many rows as the edges are found from."""
    wanted, first = max(1, SAMPLE_BYTES // (8 * max(number, 1))), []
    for part in (remaining := iter(parts)):
        first.append(part)
        if sum(len(is_failed) for _, is_failed in first) >= wanted:
            break
    if first:
        yield tuple(map(np.concatenate, zip(*first, strict=True)))
    yield from remaining


def _quantiles(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles of the finite values of each column, shape (level, column); infinite where there are none."""
    columns = [column[np.isfinite(column)] for column in values.T]
    found = [np.quantile(c, levels) if len(c) else np.full(len(levels), np.inf) for c in columns]
    return np.stack(found, axis=1) if found else np.zeros((len(levels), 0))
