"""The data-free views of a program: charts, and compiled functions of parameters and data."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from bayesastro.charts import Centred, Unconstrained, White, latent_log_prob, pointwise_log_prob, site_log_prob
from bayesastro.fisher import Fisher, FisherRule
from bayesastro.program import Data, observing, traced
from bayesastro.side_by_side import over_rows, rows_together
from bayesastro.structure import Structure, generate

__all__ = ["Simulations", "Views", "simulator", "site_terms"]


class Simulations(NamedTuple):
    """Draws from the prior predictive, each array with the draws along its leading axis."""

    parameters: dict[str, np.ndarray]
    observables: dict[str, np.ndarray]


@dataclass(frozen=True)
class Views:
    """The data-free views of a program: what compiled functions are made from and cached by.

    Parameters
    ----------
    structure : Structure
    prior_factors : frozenset of str
    fisher_rules : tuple of (str, FisherRule)
        How the Fisher metric of each observed site is known, where it is.
    """

    structure: Structure
    prior_factors: frozenset[str]
    fisher_rules: tuple[tuple[str, FisherRule], ...] = ()

    @functools.cached_property
    def unconstrained(self) -> Unconstrained:
        """The chart of unconstrained coordinates."""
        shapes = tuple((s.name, s.free_shape or ()) for s in self.structure.of_kind("latent"))
        return Unconstrained(self.structure, self.prior_factors, shapes)

    @functools.cached_property
    def centred(self) -> Unconstrained:
        """The chart of unconstrained coordinates, relative to the data where the program says so.

        Raises
        ------
        ValueError
            If a site is to be counted from one that is not observed, or is not over the reals.
        """
        sites = [site for site in self.structure.of_kind("latent") if site.centred_on is not None]
        if not sites:
            return self.unconstrained
        observed = {site.name for site in self.structure.of_kind("observed") if not site.is_inline}
        for site in sites:
            if site.centred_on not in observed or site.support != "real":
                raise ValueError(
                    f"`{site.name}` over {site.support} is to be centred on `{site.centred_on}`, but only a site over the "
                    f"reals can be, on an observed site. Those observed are {', '.join(sorted(observed))}."
                )
        shapes = tuple((s.name, s.free_shape or ()) for s in self.structure.of_kind("latent"))
        return Centred(self.structure, self.prior_factors, shapes)

    @functools.cached_property
    def white(self) -> White:
        """The chart of standard normal coordinates."""
        shapes = tuple((s.name, s.white_shape or ()) for s in self.structure.of_kind("latent"))
        return White(self.structure, self.prior_factors, shapes)

    @functools.cached_property
    def fisher(self) -> Fisher:
        """Coordinates in which the Fisher metric of the observed sites is the identity."""
        return Fisher(self.white, self.fisher_rules)

    @property
    def deterministics(self) -> tuple[str, ...]:
        """Names of the deterministic sites."""
        return tuple(site.name for site in self.structure.of_kind("deterministic"))


@functools.lru_cache(maxsize=64)
def simulator(structure: Structure) -> Callable[..., Any]:
    """Latent and observed values drawn from the prior predictive, compiled, by data and keys."""
    latents = [site.name for site in structure.of_kind("latent")]
    observables = [site.name for site in structure.of_kind("observed")]

    def draw(data: Data, key: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        with generate(structure.program, data, key) as trace:
            return {n: trace[n]["value"] for n in latents}, {n: trace[n]["value"] for n in observables}

    def draws(data: Data, keys: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        return over_rows(functools.partial(draw, data), keys, rows_together(structure))

    return jax.jit(draws)


@functools.lru_cache(maxsize=64)
def site_terms(views: Views, batch_ndims: int) -> Callable[..., Any]:
    """Prior, likelihood and deterministic values by site, compiled, at parameters with so many leading axes."""
    latents = {site.name for site in views.structure.of_kind("latent")}

    def terms(theta: dict[str, Any], data: Data) -> tuple[dict[str, Any], ...]:
        outer = (observing(data), functools.partial(handlers.substitute, data=theta))
        prior, likelihood, replayed = {}, {}, {}
        with traced(views.structure.program, data, *outer) as trace:
            for name, site in trace.items():
                if site["type"] == "deterministic":
                    replayed[name] = site["value"]
                elif site["type"] != "sample":
                    continue
                elif name in latents:
                    prior[name] = latent_log_prob(site).sum()
                elif name in views.prior_factors:
                    prior[name] = site_log_prob(site).sum()
                else:
                    likelihood[name] = pointwise_log_prob(site)
        return prior, likelihood, replayed

    def of_rows(theta: dict[str, Any], data: Data) -> tuple[dict[str, Any], ...]:
        shape = jax.tree.leaves(theta)[0].shape[:batch_ndims]
        rows = jax.tree.map(lambda array: jnp.reshape(array, (math.prod(shape), *array.shape[batch_ndims:])), theta)
        found = over_rows(lambda one: terms(one, data), rows, rows_together(views.structure))
        return jax.tree.map(lambda array: array.reshape(*shape, *array.shape[1:]), found)

    return jax.jit(of_rows if batch_ndims else terms)
