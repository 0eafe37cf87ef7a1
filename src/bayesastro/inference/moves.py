"""Markov moves of a population of particles, tuned on the population: Hamiltonian ones, and random walks.

The metric is the covariance of the particles. The step size follows the mean acceptance of all particles, move by
move, and is carried from one temperature to the next.

References
----------
Buchholz, Chopin & Jacob 2021, Bayesian Anal. 16, 745 (arXiv:1808.07730);
Roberts & Rosenthal 2001, Stat. Sci. 16, 351 (acceptance of random walks); Beskos et al. 2013, Bernoulli 19, 1501
(arXiv:1001.4460; of Hamiltonian moves).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from blackjax.mcmc import hmc, random_walk

from bayesastro.inference.spread import root

__all__ = ["Moved", "hamiltonian_moves", "random_walk_moves"]

HAMILTONIAN_ACCEPTANCE = 0.8

RANDOM_WALK_ACCEPTANCE = 0.3

QUARTER_PERIOD = jnp.pi / 2
"""Length of a trajectory in standard deviations: on a Gaussian it ends independent of where it began."""

JITTER = 0.2
"""Relative spread of the step size between particles, and of the length between moves, against resonances."""


class Moved(NamedTuple):
    """A population after its moves."""

    positions: jax.Array
    step_size: jax.Array
    """To begin with next time."""
    acceptance_rate: jax.Array
    """Mean over the particles and moves."""
    num_evaluations: jax.Array


def hamiltonian_moves(
    key: jax.Array,
    positions: jax.Array,
    log_density: Callable[[jax.Array], jax.Array],
    step_size: jax.Array,
    num_moves: int,
    max_leapfrog: int,
) -> Moved:
    """Hamiltonian moves of a quarter of a period, or as far as `max_leapfrog` steps go.

    Parameters
    ----------
    key : jax.Array
    positions : array, shape (num_particles, size)
    log_density : callable
        Of one particle.
    step_size : scalar
    num_moves, max_leapfrog : int
    """
    metric = root(positions)
    inverse_mass, kernel = metric @ metric.T, cast(Any, hmc.build_kernel())

    def move(key: jax.Array, states: hmc.HMCState, step_size: jax.Array) -> tuple[Any, Any, Any]:
        key_length, key_steps, key_kernel = jax.random.split(key, 3)
        length = QUARTER_PERIOD * jax.random.uniform(key_length, (), step_size.dtype, 1 - JITTER, 1 + JITTER)
        num_steps = jnp.clip(jnp.ceil(length / step_size), 1, max_leapfrog).astype(int)
        steps = step_size * jax.random.uniform(key_steps, (len(positions),), step_size.dtype, 1 - JITTER, 1 + JITTER)
        keys = jax.random.split(key_kernel, len(positions))
        states, info = jax.vmap(
            lambda key, state, step: kernel(key, state, log_density, step, inverse_mass, num_steps)
        )(keys, states, steps)
        return states, info.acceptance_rate, num_steps

    first = jax.vmap(lambda position: hmc.init(position, log_density))(positions)
    return _moved(key, first, move, step_size, num_moves, HAMILTONIAN_ACCEPTANCE)


def random_walk_moves(
    key: jax.Array,
    positions: jax.Array,
    log_density: Callable[[jax.Array], jax.Array],
    step_size: jax.Array,
    num_moves: int,
) -> Moved:
    """Metropolis moves with normal proposals; parameters as for :func:`hamiltonian_moves`."""
    metric, kernel = root(positions), random_walk.build_additive_step()

    def move(key: jax.Array, states: random_walk.RWState, step_size: jax.Array) -> tuple[Any, Any, Any]:
        def step(key: jax.Array, position: jax.Array) -> jax.Array:
            return step_size * metric @ jax.random.normal(key, position.shape, position.dtype)

        keys = jax.random.split(key, len(positions))
        states, info = jax.vmap(lambda key, state: kernel(key, state, log_density, step))(keys, states)
        return states, info.acceptance_rate, jnp.ones((), int)

    first = jax.vmap(lambda position: random_walk.init(position, log_density))(positions)
    return _moved(key, first, move, step_size, num_moves, RANDOM_WALK_ACCEPTANCE)


def _moved(
    key: jax.Array, states: Any, move: Callable[..., Any], step_size: jax.Array, num_moves: int, target: float
) -> Moved:
    number = len(states.position)

    def one(i: jax.Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        states, step_size, accepted, num_evaluations = carry
        states, rates, num_steps = move(jax.random.fold_in(key, i), states, step_size)
        rate = jnp.mean(jnp.where(jnp.isnan(rates), 0.0, rates))
        return states, step_size * jnp.exp(rate - target), accepted + rate, num_evaluations + number * num_steps

    carry = (states, step_size, jnp.zeros_like(step_size), jnp.asarray(number))
    states, step_size, accepted, num_evaluations = jax.lax.fori_loop(0, num_moves, one, carry)
    return Moved(states.position, step_size, accepted / num_moves, num_evaluations)
