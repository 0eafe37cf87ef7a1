"""A program's views with its likelihood replaced by a learnt one: what engines see of a `Surrogate`."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from bayesastro.banks.truncation import drawn_within
from bayesastro.charts import Unconstrained
from bayesastro.problem import Views
from bayesastro.program import Data
from bayesastro.structure import generate

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
    within : tuple of (str, lower, upper)
        Bounds of latent sites, nested tuples of their shapes, outside which nothing was learnt: the likelihood is 0
        there, and draws from the prior are from within.
    """

    log_likelihood: LogLikelihood = field(kw_only=True)
    within: tuple[tuple[str, Any, Any], ...] = ()

    @functools.cached_property
    def unconstrained(self) -> Unconstrained:
        """The chart, with the program's prior and the learnt likelihood."""
        exact = super().unconstrained
        return _LearnedChart(
            exact.structure, exact.prior_factors, exact.shapes, learnt=self.log_likelihood, within=self.within
        )

    @functools.cached_property
    def centred(self) -> Unconstrained:
        """The same: contexts are no data to be relative to."""
        return self.unconstrained


@dataclass(frozen=True)
class _LearnedChart(Unconstrained):
    learnt: LogLikelihood = field(kw_only=True)
    within: tuple[tuple[str, Any, Any], ...] = ()

    def draw_prior(self, key: jax.Array, data: Data) -> jax.Array:
        bounds = {name: (jnp.asarray(low), jnp.asarray(high)) for name, low, high in self.within}
        with generate(self.structure.program, data, key, None, drawn_within(bounds, key)) as trace:
            return self.coordinates_of(trace, data)

    def _log_likelihood_of(self, trace: Mapping[str, Any], z: jax.Array, data: Data) -> jax.Array:
        found = self.learnt(z, jnp.asarray(data.observed[CONTEXTS], z.dtype))
        is_inside = jnp.asarray(True)
        for name, low, high in self.within:
            value = trace[name]["value"]
            is_inside &= jnp.all((value >= jnp.asarray(low)) & (value <= jnp.asarray(high)))
        return jnp.where(is_inside, found + jnp.asarray(data.observed[OFFSET], z.dtype), -jnp.inf)
