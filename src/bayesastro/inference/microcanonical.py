"""Steps of microcanonical dynamics: single ones, unadjusted, and trajectories that are accepted or rejected.

Both work in coordinates scaled by a diagonal metric, in which the posterior has about unit spread and L is about √d.
The dynamics need two dimensions; a problem of one parameter is given a standard normal second one, which is dropped.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from blackjax.adaptation.step_size import dual_averaging_adaptation
from blackjax.mcmc import adjusted_mclmc_dynamic as trajectories
from blackjax.mcmc import mclmc as steps
from blackjax.mcmc.dynamic_hmc import DynamicHMCState
from blackjax.util import generate_unit_vector

from bayesastro.inference.starts import Points
from bayesastro.inference.step_tuning import step_tuner, step_updated

__all__ = ["Adjusted", "Mover", "Tuning", "Unadjusted", "Walker"]


class Walker(NamedTuple):
    """A point with a direction: blackjax's state of the integrator, of arrays alone."""

    position: jax.Array
    momentum: jax.Array
    logdensity: jax.Array
    logdensity_grad: jax.Array


Info = dict[str, jax.Array]
"""Numbers about a step, which add up over steps."""

GRADIENTS_PER_STEP = 2
"""Of McLachlan's integrator."""

MAX_STEPS = 1000
"""Bound on the mean number of steps in a trajectory."""


class Tuning(NamedTuple):
    """What the warm-up learns."""

    step: Any
    """State of the tuner of the step size."""
    length: jax.Array
    """L: the path over which the momentum is forgotten; adjusted, the mean length of trajectories."""
    inverse_mass: jax.Array


@dataclass(frozen=True)
class Mover(ABC):
    """A kind of step, and how it is tuned; abstract.

    Parameters
    ----------
    log_density : callable
        Of coordinates, shape (size,).
    size : int
    target : float
        What the step size is tuned to.
    """

    log_density: Callable[[jax.Array], jax.Array]
    size: int
    target: float

    @property
    def num_coordinates(self) -> int:
        """Number of coordinates of a walker: two at least."""
        return max(self.size, 2)

    def padded(self, array: jax.Array, value: float) -> jax.Array:
        """`array` with `value` for a coordinate that the problem does not have."""
        return jnp.pad(array, (0, self.num_coordinates - self.size), constant_values=value)

    def density(self, z: jax.Array) -> jax.Array:
        """Log-density of a walker's coordinates."""
        if self.size == self.num_coordinates:
            return self.log_density(z)
        return self.log_density(z[: self.size]) - self._surplus(z)

    def _surplus(self, z: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(z[self.size :] ** 2)

    def start(self, key: jax.Array, point: Points) -> Walker:
        """A walker at a point, with a random direction."""
        position = self.padded(point.position, 0.0)
        momentum = generate_unit_vector(key, position)
        return Walker(position, momentum, point.log_density, self.padded(point.gradient, 0.0))

    def row(self, walker: Walker, total: Info, num_moves: Any) -> dict[str, jax.Array]:
        """What is kept of a draw after `num_moves` moves with the sums `total`."""
        return {
            "position": walker.position[: self.size],
            "lp": walker.logdensity + self._surplus(walker.position),
            **self._figures(total, num_moves),
        }

    @abstractmethod
    def first_tuning(self, inverse_mass: jax.Array) -> Tuning:
        """The tuning before the first step."""

    @abstractmethod
    def step_size(self, tuning: Tuning) -> jax.Array:
        """The step size after the warm-up."""

    @abstractmethod
    def move(
        self, key: jax.Array, walker: Walker, tuning: Tuning, scale: Any, *, is_warmup: bool
    ) -> tuple[Walker, Info]:
        """One move with the step size times `scale`."""

    @abstractmethod
    def tuned(self, tuning: Tuning, info: Info, is_final: jax.Array) -> Tuning:
        """The tuning after one move of the warm-up, in which metric and L are final or yet to change."""

    @abstractmethod
    def restarted(self, tuning: Tuning) -> Tuning:
        """The tuning with the step size to be learnt anew, for the metric has changed."""

    @abstractmethod
    def length(self, tuning: Tuning, autocorrelation: jax.Array) -> jax.Array:
        """L from the autocorrelation time in moves."""

    @abstractmethod
    def _figures(self, total: Info, num_moves: Any) -> dict[str, jax.Array]:
        """Sample statistics of a draw."""


@dataclass(frozen=True)
class Unadjusted(Mover):
    """Single steps; `target` is the energy variance for each parameter."""

    def first_tuning(self, inverse_mass: jax.Array) -> Tuning:
        spread = jnp.sqrt(jnp.asarray(self.num_coordinates, inverse_mass.dtype))
        return Tuning(step_tuner(0.25 * spread), spread, inverse_mass)

    def step_size(self, tuning: Tuning) -> jax.Array:
        return tuning.step.step_size

    def move(
        self, key: jax.Array, walker: Walker, tuning: Tuning, scale: Any, *, is_warmup: bool
    ) -> tuple[Walker, Info]:
        kernel: Any = steps.build_kernel()
        step_size = scale * tuning.step.step_size
        after, info = kernel(key, walker, self.density, tuning.inverse_mass, tuning.length, step_size)
        return Walker(*after), {
            "energy_change": info.energy_change,
            "energy_square": info.energy_change**2,
            "num_nans": jnp.asarray(~info.nonans, int),
            "num_gradients": jnp.asarray(GRADIENTS_PER_STEP),
        }

    def tuned(self, tuning: Tuning, info: Info, is_final: jax.Array) -> Tuning:
        variance = self.target * self.num_coordinates
        step = step_updated(tuning.step, info["energy_change"], info["num_nans"] == 0, variance, is_final)
        return tuning._replace(step=step)

    def restarted(self, tuning: Tuning) -> Tuning:
        return tuning._replace(step=step_tuner(tuning.step.step_size))

    def length(self, tuning: Tuning, autocorrelation: jax.Array) -> jax.Array:
        return jnp.where(
            autocorrelation > 0, 0.4 * autocorrelation * tuning.step.step_size, tuning.length
        )  # 0.4 is blackjax's

    def _figures(self, total: Info, num_moves: Any) -> dict[str, jax.Array]:
        return {"energy_change": total["energy_change"]}


@dataclass(frozen=True)
class Adjusted(Mover):
    """Trajectories of random length, accepted or rejected; `target` is the mean acceptance probability."""

    def first_tuning(self, inverse_mass: jax.Array) -> Tuning:
        # A quarter of a period of a standard normal, run through at unit speed.
        length = 0.5 * jnp.pi * jnp.sqrt(jnp.asarray(self.num_coordinates, inverse_mass.dtype))
        init, _, _ = dual_averaging_adaptation(self.target)
        return Tuning(init(0.25 * length), length, inverse_mass)

    def step_size(self, tuning: Tuning) -> jax.Array:
        _, _, final = dual_averaging_adaptation(self.target)
        return final(tuning.step)

    def move(
        self, key: jax.Array, walker: Walker, tuning: Tuning, scale: Any, *, is_warmup: bool
    ) -> tuple[Walker, Info]:
        step_size = scale * (jnp.exp(tuning.step.log_step_size) if is_warmup else self.step_size(tuning))
        key_length, key_move = jax.random.split(key)
        kernel: Any = trajectories.build_kernel(trajectories.make_random_trajectory_length_fn(True))
        mean_steps = jnp.clip(tuning.length / step_size, 1.0, MAX_STEPS)
        log_density: Any = walker.logdensity
        before = DynamicHMCState(walker.position, log_density, walker.logdensity_grad, key_length)
        after, info = kernel(
            key_move,
            before,
            self.density,
            step_size,
            inverse_mass_matrix=tuning.inverse_mass,
            integration_steps_params=(mean_steps,),
        )
        num_steps = jnp.asarray(info.num_integration_steps, int)
        is_finite = jnp.isfinite(info.proposal.logdensity) & jnp.all(jnp.isfinite(info.proposal.position))
        return walker._replace(
            position=after.position, logdensity=after.logdensity, logdensity_grad=after.logdensity_grad
        ), {
            "acceptance_rate": jnp.nan_to_num(info.acceptance_rate),
            "energy_square": jnp.zeros(()),
            "num_diverging": jnp.asarray(info.is_divergent, int),
            "n_steps": num_steps,
            "num_nans": jnp.asarray(~is_finite, int),
            "num_gradients": GRADIENTS_PER_STEP * num_steps,
        }

    def tuned(self, tuning: Tuning, info: Info, is_final: jax.Array) -> Tuning:
        _, update, _ = dual_averaging_adaptation(self.target)
        return tuning._replace(step=update(tuning.step, info["acceptance_rate"]))

    def restarted(self, tuning: Tuning) -> Tuning:
        init, _, final = dual_averaging_adaptation(self.target)
        return tuning._replace(step=init(final(tuning.step)))

    def length(self, tuning: Tuning, autocorrelation: jax.Array) -> jax.Array:
        # No shorter: trajectories of a single step are those of a random walk.
        return jnp.where(autocorrelation > 2, 0.5 * autocorrelation * tuning.length, tuning.length)

    def _figures(self, total: Info, num_moves: Any) -> dict[str, jax.Array]:
        return {
            "acceptance_rate": total["acceptance_rate"] / num_moves,
            "diverging": total["num_diverging"] > 0,
            "n_steps": total["n_steps"],
        }
