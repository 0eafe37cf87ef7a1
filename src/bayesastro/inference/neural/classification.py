"""Networks that tell models apart, and what is used of them once they are trained.

A network gives each model's log-evidence up to a constant of the data. It is trained as a classifier of rows of which
a known fraction is of each model, that fraction added in the loss, so that it need not be the prior: probabilities of
any prior follow.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from bayesastro.inference.neural.network import Plan, SiteSummary
from bayesastro.inference.neural.surrogates import smooth_layers
from bayesastro.inference.neural.trained import Trained

__all__ = ["ClassifierNetwork", "NeuralClassifier", "checked_prior"]

DEPTH = 2
"""Hidden layers over the joined summary."""

TOGETHER = 1024
"""Data sets that are classified in one call."""


class ClassifierNetwork(SiteSummary):
    """log p(x | model) up to a constant of x; indicators of the model take the place of coordinates."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.head = smooth_layers(plan.num_features, plan.hidden, DEPTH, plan.size)
        self.log_fractions = torch.tensor(np.log(plan.fractions), dtype=torch.float32)

    def loss(self, z: Tensor, x: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the probabilities among the rows (Menon et al. 2021, arXiv:2007.07314)."""
        among_rows = (self.head(self.context(x)) + self.log_fractions).log_softmax(-1)
        return -(z * among_rows).sum(-1)


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuralClassifier(Trained):
    """Log-evidences of models learnt from banks, the labels; see :class:`Trained`."""

    networks: tuple[ClassifierNetwork, ...]

    def log_evidences(self, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """Log-probabilities of the models if all were as probable a priori, shape (dataset, model).

        Probabilities are averaged over the networks.
        """
        number, parts = len(next(iter(observed.values()))), []
        for start in range(0, number, TOGETHER):
            x = self.tensors({name: values[start : start + TOGETHER] for name, values in observed.items()})
            with torch.no_grad():
                found = [network.head(network.context(x)).double().log_softmax(-1).numpy() for network in self.networks]
            parts.append(np.asarray(logsumexp(found, axis=0)) - math.log(len(found)))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)))

    def evaluate(self, coordinates: np.ndarray, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """The log-evidence of indicators of shape (dataset, draw, model)."""
        return np.einsum("bdm,bm->bd", coordinates, self.log_evidences(observed))


def checked_prior(prior: Mapping[str, float] | None, models: Sequence[str]) -> dict[str, float]:
    """Probabilities of the models; equal ones for None.

    Raises
    ------
    ValueError
        Unless there is a positive probability for each model, and their sum is one.
    """
    if prior is None:
        return {name: 1 / len(models) for name in models}
    if set(prior) != set(models):
        raise ValueError(
            f"`prior` must have a probability for each of the models {list(models)}, but has {list(prior)}."
        )
    found = {name: float(prior[name]) for name in models}
    if min(found.values()) <= 0 or not math.isclose(math.fsum(found.values()), 1, abs_tol=1e-6):
        raise ValueError(f"`prior` must have positive probabilities of which the sum is one, but {found} came.")
    return found
