"""Whether two samples of parameters given data differ at one place of the data, by regression on random features.

Pairs (u, x) and (u′, x) share their data. Regression of the label, 1 for the first of a pair and 0 for the second,
estimates the probability that a point belongs to the first sample; its mean squared distance from ½ over points u at
the place x_o is the local statistic. If both samples have one distribution given the data, the two of a pair are
exchangeable, so that changing over any of the pairs gives a replicate of the null, and the rank of the statistic among
those an exact p-value. The regression is linear in random Fourier features of (u, x), of which the second moments do not
change with the pairs: a replicate costs a matrix product and no training.

References
----------
Kim, Lee & Lei 2019, Electron. J. Stat. 13, 5253 (arXiv:1812.08927), local tests by regression; Linhart, Gramfort &
Rodrigues 2023, NeurIPS (arXiv:2306.03580), L-C2ST; Rahimi & Recht 2007, NIPS 20, random features.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

__all__ = ["LocalTest", "Place", "local_test"]

FREQUENCIES = ((0.5, 0.7), (1.0, 0.7), (0.7, 1.5), (1.5, 1.5))
"""Of features in the parameters and in the data, per unit of a typical distance: wide and narrow, shallow and sharp."""

FEATURES_EACH = 100
"""Features of each pair of frequencies."""

RIDGE = 3.0
"""Regularisation, times the mean square of all features over the number of pairs; so little that defects elsewhere do
not reach the place that is looked at."""

SWAPS_TOGETHER = 250

MAX_SHOWN = 1000
"""Replicates of which the probabilities are kept."""


class Place(NamedTuple):
    """Where the samples are compared.

    Attributes
    ----------
    x : array, shape (feature,)
    points : array, shape (point, coordinate)
    """

    x: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class LocalTest:
    """Of one place.

    Attributes
    ----------
    statistics : array, shape (1 + replicate,)
        Of the samples as they are, and with pairs changed over.
    probabilities : array, shape (1 + some of the replicates, point)
        Estimates that a point belongs to the first sample.
    """

    statistics: np.ndarray
    probabilities: np.ndarray


class _Features(NamedTuple):
    """Frequencies and phases of random Fourier features."""

    in_u: np.ndarray
    in_x: np.ndarray
    phase: np.ndarray

    def __call__(self, u: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.sqrt(2 / len(self.phase)) * np.cos(u @ self.in_u + x @ self.in_x + self.phase)


def _features(num_coordinates: int, x: np.ndarray, random: np.random.Generator) -> _Features:
    # Half the mean squared distance between two points is the sum of the variances.
    typical = np.sqrt(x.var(0).sum())
    in_u, in_x = (np.repeat(scales, FEATURES_EACH) for scales in zip(*FREQUENCIES, strict=True))
    return _Features(
        random.normal(size=(num_coordinates, len(in_u))) * in_u / np.sqrt(num_coordinates),
        random.normal(size=(x.shape[1], len(in_x))) * in_x / typical,
        random.uniform(0, 2 * np.pi, len(in_u)),
    )


def local_test(
    first: np.ndarray,
    second: np.ndarray,
    x: np.ndarray,
    places: list[Place],
    num_replicates: int,
    random: np.random.Generator,
) -> list[LocalTest]:
    """Compare two samples at places of the data; the same replicates serve all of them.

    Parameters
    ----------
    first, second : array, shape (pair, coordinate)
        Of order one.
    x : array, shape (pair, feature)
    places : list of Place
    num_replicates : int
    """
    features = _features(first.shape[1], x, random)
    a, b = features(first, x), features(second, x)
    number = len(x)
    moments = (a.T @ a + b.T @ b) / (2 * number)
    moments += RIDGE / number * np.trace(moments) * np.eye(len(moments))
    replicates = np.arange(num_replicates + 1)
    at = [features(place.points, np.broadcast_to(place.x, (len(place.points), len(place.x)))) for place in places]
    statistics, probabilities = [[] for _ in places], [[] for _ in places]
    for block in np.array_split(replicates, -(-len(replicates) // SWAPS_TOGETHER)):
        signs = 2.0 * random.integers(2, size=(number, len(block))) - 1
        signs[:, block == 0] = 1.0
        weights = np.linalg.solve(moments, (a - b).T @ signs / (4 * number))
        for i, there in enumerate(at):
            excess = (there @ weights).T
            statistics[i].append((excess**2).mean(1))
            if block[0] < MAX_SHOWN:
                probabilities[i].append(np.clip(0.5 + excess, 0.0, 1.0))
    return [LocalTest(np.concatenate(t), np.concatenate(p)) for t, p in zip(statistics, probabilities, strict=True)]
