"""A program's views with its likelihood replaced by a learnt one: what engines see of a `Surrogate`."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from bayesastro.charts import Unconstrained
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["LearnedViews", "with_contexts"]

LogLikelihood = Callable[[jax.Array, jax.Array], jax.Array]

CONTEXTS, OFFSET = "contexts of a learnt likelihood", "offset of a learnt likelihood"
"""Names, beside those of the observed sites, under which data carry what was made of them."""


def with_contexts(data: Data, contexts: jax.Array, offset: jax.Array) -> Data:
    """Data that carry the contexts of networks, and a constant of the log-likelihood."""
    return Data(data.arrays, {**data.observed, CONTEXTS: contexts, OFFSET: offset})


@dataclass(frozen=True)
class LearnedViews(Views):
    """Views in which the likelihood is a function of unconstrained coordinates and contexts.

    Parameters
    ----------
    log_likelihood : callable
    """

    log_likelihood: LogLikelihood | None = None

    @functools.cached_property
    def unconstrained(self) -> Unconstrained:
        """The chart, with the program's prior and the learnt likelihood."""
        exact = super().unconstrained
        return _LearnedChart(exact.structure, exact.prior_factors, exact.shapes, self.log_likelihood)


@dataclass(frozen=True)
class _LearnedChart(Unconstrained):
    log_likelihood_function: LogLikelihood | None = None

    def _log_likelihood_of(self, trace: Mapping[str, Any], z: jax.Array, data: Data) -> jax.Array:
        assert self.log_likelihood_function is not None
        found = self.log_likelihood_function(z, jnp.asarray(data.observed[CONTEXTS], z.dtype))
        return found + jnp.asarray(data.observed[OFFSET], z.dtype)
