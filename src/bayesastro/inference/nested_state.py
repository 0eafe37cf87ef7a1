"""What a run of nested sampling keeps from one iteration to the next."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.ns import adaptive
from blackjax.ns.integrator import NSIntegrator, init_integrator

from bayesastro.inference.live import Live
from bayesastro.inference.reference import Reference
from bayesastro.inference.refinement import Refinement
from bayesastro.inference.regions import Quartiles
from bayesastro.inference.spread import root

__all__ = ["TOTALS", "State", "begun_sampler", "log_remaining", "log_total"]

TOTALS = (
    "num_evaluations",
    "num_moves",
    "num_failures",
    "num_undefined",
    "num_from_region",
    "position_correlation",
    "rank_correlation",
)
"""Names that births and the state, where they are summed, share."""


class State(NamedTuple):
    count: jax.Array
    """Iterations of all stages."""
    stage: jax.Array
    """0, or 1 in the self-check's second run."""
    stage_count: jax.Array
    is_done: jax.Array
    is_converged: jax.Array
    """Of the stages so far."""
    sampler: Any
    """An `adaptive.AdaptiveNSState` whose particles are `Live`."""
    first_live: Live
    """Live points that the first stage ended with; meaningless before."""
    fresh: Live | None
    """Live points of the second stage before its first iteration."""
    reference: Reference | None
    seed: jax.Array
    """Of what is random in `finish`."""
    num_evaluations: jax.Array
    num_moves: jax.Array
    num_failures: jax.Array
    num_undefined: jax.Array
    num_from_region: jax.Array
    prior: Quartiles
    region_cost: jax.Array
    """Likelihoods for a point from a region, a running mean; infinite once regions are given up."""
    position_correlation: jax.Array
    """Sum over iterations, of new points with those that their walks began at, by coordinate."""
    rank_correlation: jax.Array
    """The same for their ranks in likelihood."""
    refinement: Refinement | None


def begun_sampler(live: Any) -> Any:
    """blackjax's state with the live points given."""
    return adaptive.AdaptiveNSState(live, init_integrator(live), {"metric": root(live.position)})


def log_total(integrator: NSIntegrator) -> Any:
    """Log-evidence of all points, the live ones too."""
    return np.logaddexp(integrator.logZ, integrator.logZ_live)


def log_remaining(integrator: NSIntegrator) -> jax.Array:
    """Share of it that the live points hold, as a logarithm."""
    return integrator.logZ_live - jnp.logaddexp(integrator.logZ, integrator.logZ_live)
