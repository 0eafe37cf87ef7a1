"""Tuning of microcanonical dynamics: the step from the variance of energy errors, the length from autocorrelations.

An integrator of second order errs in the energy with Var[ΔE] ∝ ε⁶. Each step of the warm-up therefore tells the step
size at which the variance would be the one desired, ε (d V / ΔE²)^(1/6). While the chain travels those estimates are
averaged with a short memory, weighted by how near they are. At last all steps count alike: where energy errors have
heavy tails, as in funnels, the weights would leave out just what the variance is made of.

References
----------
Robnik, De Luca, Silverstein & Seljak 2023, JMLR 24, 311 (arXiv:2212.08549), section 4.2; blackjax 1.7,
``adaptation/mclmc_adaptation.py``, whose constants these are.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from blackjax.diagnostics import effective_sample_size

__all__ = ["StepTuner", "autocorrelation", "step_tuner", "step_updated"]

MEMORY = 150.0
"""Effective number of steps that the average is taken over."""

DECAY = (MEMORY - 1) / (MEMORY + 1)

TRUST = 1.5
"""Spread of log ξ^(1/6) over which an estimate is believed."""

NAN_SHRINKAGE = 0.8
"""Part of a step that led to a NaN which the steps after it may not exceed."""


class StepTuner(NamedTuple):
    """Weighted sum of ξ / ε⁶ with ξ = ΔE² / (d V), its weight, and the steps to take and not to exceed."""

    step_size: jax.Array
    total: jax.Array
    weight: jax.Array
    largest: jax.Array


def step_tuner(step_size: jax.Array) -> StepTuner:
    """A tuner that believes in `step_size` as much as in one estimate."""
    step_size = jnp.asarray(step_size)
    return StepTuner(step_size, step_size**-6.0, jnp.ones_like(step_size), jnp.full_like(step_size, jnp.inf))


def step_updated(
    tuner: StepTuner, energy_change: jax.Array, is_finite: jax.Array, variance: float, is_final: jax.Array
) -> StepTuner:
    """The tuner after one step.

    Parameters
    ----------
    tuner : StepTuner
    energy_change : scalar
        ΔE of the step.
    is_finite : scalar bool
        Whether the step led to a point of finite density; otherwise later steps stay below it.
    variance : float
        Desired Var[ΔE] of all parameters together.
    is_final : scalar bool
        Whether to average all steps alike.
    """
    xi = jnp.where(is_finite, energy_change, 0.0) ** 2 / variance + 1e-8
    weight = jnp.where(is_final, 1.0, jnp.exp(-0.5 * (jnp.log(xi) / (6 * TRUST)) ** 2))
    decay = jnp.where(is_final, 1.0, DECAY)
    total = decay * tuner.total + weight * xi / tuner.step_size**6
    weight = decay * tuner.weight + weight
    largest = jnp.where(is_finite, tuner.largest, jnp.minimum(tuner.largest, NAN_SHRINKAGE * tuner.step_size))
    return StepTuner(jnp.minimum((total / weight) ** (-1 / 6), largest), total, weight, largest)


def autocorrelation(positions: jax.Array) -> jax.Array:
    """Mean autocorrelation time over those coordinates that have one, in steps; NaN if none has.

    Parameters
    ----------
    positions : array, shape (num_steps, size)
    """
    times = len(positions) / effective_sample_size(positions[None])
    return jnp.nanmean(jnp.where(jnp.isfinite(times), times, jnp.nan))
