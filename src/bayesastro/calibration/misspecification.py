"""Misspecification: whether the observed data are among those that the program can produce.

Features of the whitened residuals, averaged over posterior draws, are computed alike for the data observed and for
every simulation that was fitted. If the program is right these are exchangeable, and the rank of the observed one by its
mean kernel similarity to all others, which orders data sets by their maximum mean discrepancy, is an exact p-value.

References
----------
Gretton et al. 2012, JMLR 13, 723; Schmitt et al. 2023, GCPR (arXiv:2112.08866), in a summary space.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Plausibility", "plausibility"]


@dataclass(frozen=True, kw_only=True)
class Plausibility:
    """Whether the observed data look like simulated ones.

    Attributes
    ----------
    p : float
        Fraction of data sets that are no more like the others than the observed one is.
    false_alarm : float
    features : pandas.DataFrame
        By site and feature of the residuals: ``observed``, ``mean`` and ``sd`` over simulations, and two-sided ``p``.
    """

    p: float
    false_alarm: float
    features: pd.DataFrame

    @property
    def verdict(self) -> str:
        """``"pass"`` if the program can produce such data, otherwise ``"fail"``."""
        return "fail" if self.p <= self.false_alarm else "pass"

    def __str__(self) -> str:
        worst: Any = self.features["p"].idxmin()
        row = self.features.loc[worst]
        return (
            f"{self.verdict}: {100 * self.p:.2g} % of simulations are as unlike the others as the observed data; furthest "
            f"off is `{worst[0]}`, {worst[1]}: {row['observed']:.3g}, where simulations give {row['mean']:.3g} ± {row['sd']:.2g}"
        )


def plausibility(
    simulated: np.ndarray, observed: np.ndarray, labels: list[tuple[str, str]], false_alarm: float
) -> Plausibility:
    """Rank the observed features among simulated ones.

    Parameters
    ----------
    simulated : array, shape (simulation, feature)
    observed : array, shape (feature,)
    labels : list of (site, feature)
    false_alarm : float
    """
    points = np.concatenate([observed[None], simulated])
    # Robust units and a logarithm, so that no feature has all the say; neither knows which data set is the observed one.
    center = np.median(points, axis=0)
    width = np.median(np.abs(points - center), axis=0)
    scaled = (points - center) / np.where(width > 0, width, 1.0)
    scaled = np.sign(scaled) * np.log1p(np.abs(scaled))
    squared = ((scaled[:, None] - scaled[None]) ** 2).sum(-1)
    bandwidth = np.median(squared[np.triu_indices(len(points), 1)])
    # The rational quadratic kernel falls slowly: what is far from all is still told from what is farther.
    similarity = 1 / (1 + squared / bandwidth)
    score = (similarity.sum(1) - 1) / (len(points) - 1)
    above = (points >= observed).mean(0)
    below = (points <= observed).mean(0)
    table = pd.DataFrame(
        {
            "observed": observed,
            "mean": simulated.mean(0),
            "sd": simulated.std(0, ddof=1),
            "p": np.minimum(2 * np.minimum(above, below), 1.0),
        },
        index=pd.MultiIndex.from_tuples(labels, names=["site", "feature"]),
    )
    return Plausibility(p=float((score <= score[0]).mean()), false_alarm=false_alarm, features=table)
