"""A learnt likelihood or ratio: networks with all that is needed to evaluate them, on torch and on JAX."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.scipy.special import logsumexp

from bayesastro.inference.neural.surrogates import SurrogateNetwork
from bayesastro.inference.neural.trained import Trained
from bayesastro.inference.neural.transcribed import log_likelihoods_of

__all__ = ["NeuralLikelihood"]


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuralLikelihood(Trained):
    """log p(x | z) learnt from a bank, or log p(x | z)/p(x); see :class:`Trained`."""

    networks: tuple[SurrogateNetwork, ...]

    @property
    def is_normalised(self) -> bool:
        """Whether it is a density of the data: an evidence then means something."""
        return self.networks[0].plan.kind == "likelihood"

    def contexts(self, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """What networks need of data sets, in shape (dataset, network, feature)."""
        x = self.tensors(observed)
        with torch.no_grad():
            return np.stack([network.context(x).numpy() for network in self.networks], 1)

    def offset(self, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """Log-volume of standardised values by that of the data, by data set; what a density of the data has to have."""
        if not self.is_normalised:
            return np.zeros(len(next(iter(observed.values()))))
        return np.sum([scale.log_volume(observed[name]) for name, scale in self.scale.sites.items()], axis=0)

    def evaluate(self, coordinates: np.ndarray, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """The log-likelihood at unconstrained coordinates of shape (dataset, draw, coordinate), for each data set."""
        z, contexts = torch.from_numpy(self.scale.coordinates(coordinates)), self.contexts(observed)
        with torch.no_grad():
            found = [
                network.log_likelihood(z, torch.from_numpy(contexts[:, i])) for i, network in enumerate(self.networks)
            ]
        mixed = torch.stack(found).double().logsumexp(0).numpy() - math.log(len(found))
        return mixed + self.offset(observed)[:, None]

    def function(self) -> Callable[[jax.Array, jax.Array], jax.Array]:
        """The log-likelihood for JAX, without the offset: of coordinates and the contexts of a data set."""
        log_likelihoods = log_likelihoods_of(self.networks)
        mean, sd = self.scale.mean, self.scale.sd

        def log_likelihood(z: jax.Array, contexts: jax.Array) -> jax.Array:
            standard = (z - jnp.asarray(mean, z.dtype)) / jnp.asarray(sd, z.dtype)
            return logsumexp(log_likelihoods(standard, contexts)) - math.log(len(self.networks))

        return log_likelihood
