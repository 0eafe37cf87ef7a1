"""What a trained network makes of data, for checks of it: features to compare data sets by, and misspecification there.

References
----------
Schmitt et al. 2023, GCPR (arXiv:2112.08866), misspecification in the space of summaries.
"""

from collections.abc import Mapping

import numpy as np
import torch

from bayesastro.calibration.misspecification import Plausibility, plausibility
from bayesastro.inference.neural.posterior import NeuralPosterior

__all__ = ["classified", "summaries", "summary_plausibility"]

MAX_RAW = 16
"""Observed values up to which a classifier sees them all, and not the network's summary."""

MAX_COMPONENTS = 16
"""Principal components of summaries."""

MAX_COMPARED = 1000
"""Simulations that data are compared with as to whether the program can produce them."""

TOGETHER = 512
"""Data sets of which the summaries are computed in one call."""


def classified(
    posterior: NeuralPosterior, x: Mapping[str, np.ndarray], at: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, str]:
    """What the classifier sees of the data: features of simulations and of the data sets to look at, and their name."""
    kept = {name: scale.kept for name, scale in posterior.scale.sites.items()}
    if sum(int(k.sum()) for k in kept.values()) <= MAX_RAW:
        flat, flat_at = (
            np.concatenate([scaled[name][:, k].astype(float) for name, k in kept.items()], axis=1)
            for scaled in (posterior.scale.observed(x), posterior.scale.observed(at))
        )
        return flat, flat_at, "data"
    return *_components(summaries(posterior, x), summaries(posterior, at)), "summary"


def summaries(posterior: NeuralPosterior, x: Mapping[str, np.ndarray]) -> np.ndarray:
    """The first network's, shape (dataset, feature)."""
    number = len(next(iter(x.values())))
    parts = []
    with torch.no_grad():
        for start in range(0, number, TOGETHER):
            some = {name: values[start : start + TOGETHER] for name, values in x.items()}
            parts.append(posterior.networks[0].context(posterior.tensors(some)).numpy().astype(float))
    return np.concatenate(parts)


def _components(summaries: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of standardised summaries, the strongest first."""
    mean, sd = np.nanmean(summaries, axis=0), np.nanstd(summaries, axis=0)
    scale = np.where(sd > 0, sd, 1.0)
    z = (summaries - mean) / scale
    _, _, directions = np.linalg.svd(z[np.isfinite(z).all(1)], full_matrices=False)
    kept = directions[:MAX_COMPONENTS].T
    return z @ kept, (at - mean) / scale @ kept


def summary_plausibility(
    posterior: NeuralPosterior, x: Mapping[str, np.ndarray], at: Mapping[str, np.ndarray], false_alarm: float, seed: int
) -> tuple[Plausibility, ...]:
    """Whether the program produces such data: by the network's summary, and the sites' standardised values."""
    number = len(next(iter(x.values())))
    chosen = np.random.default_rng((seed, 1)).choice(number, min(number, MAX_COMPARED), replace=False)
    some = {name: values[chosen] for name, values in x.items()}
    columns, columns_at = ([part] for part in _components(summaries(posterior, some), summaries(posterior, at)))
    labels = [("summary", f"component {i}") for i in range(columns[0].shape[1])]
    for name, scale in posterior.scale.sites.items():
        for found, values in ((columns, some[name]), (columns_at, at[name])):
            flat = scale(values).reshape(len(values), -1).astype(float)
            found.append(np.stack([np.sqrt((flat**2).mean(1)), np.abs(flat).max(1)], axis=1))
        labels += [(name, "root mean square"), (name, "largest")]
    simulated = np.concatenate(columns, axis=1)
    simulated = simulated[np.isfinite(simulated).all(1)]
    return tuple(plausibility(simulated, row, labels, false_alarm) for row in np.concatenate(columns_at, axis=1))
