r"""Particles under their own gravity on a periodic mesh, in few steps that keep second-order perturbation theory.

With the linear growth D as time and :math:`v = dx/dD`, a step drifts by half of ΔD, kicks, and drifts again:

.. math::

    v \to \alpha v + (1 - \alpha) \frac{A(x)}{D_{1/2}}, \qquad
    \alpha = \frac{D_2'(D_1) - F}{D_2'(D_0) - F}, \quad
    F = \frac{D_2(D_0) + D_2'(D_0) \, \Delta D / 2}{D_{1/2}} - D_{1/2},

where A is the field whose divergence is minus the density contrast, :math:`D_{1/2}` the middle of the step from
:math:`D_0` to :math:`D_1`, and :math:`D_2(D)` the second-order growth. Steps are of equal length in the scale factor, from 0 on.

References
----------
Rampf, List & Hahn 2025, JCAP 02, 020 (arXiv:2409.19049), equations 2.3 and 3.5 to 3.7; List & Hahn 2024, J. Comput. Phys. 513, 113201
(arXiv:2301.09655).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from bayesastro.simulators.cosmology.growth import growth
from bayesastro.simulators.fields.displacement import displacement
from bayesastro.simulators.fields.grids import RegularGrid
from bayesastro.simulators.fields.painting import painted, read

__all__ = ["evolved"]


def evolved(
    density_k: Complex[Array, "nx ny nz_half"],
    Omega_m: Float[ArrayLike, ""],
    scale_factor: Float[ArrayLike, ""],
    grid: RegularGrid,
    num_steps: int,
) -> tuple[tuple[Float[Array, "nx ny nz"], ...], tuple[Float[Array, "nx ny nz"], ...]]:
    """Displacements of one particle for each cell, and their velocities.

    Parameters
    ----------
    density_k : array, shape (nx, ny, nz // 2 + 1)
        Fourier coefficients, as of ``rfftn``, of the linear density contrast today.
    Omega_m, scale_factor : scalar
    grid : RegularGrid
    num_steps : int

    Returns
    -------
    displacements, velocities : tuples of array [unit of length]
        Along each axis; velocities over the expansion rate, the displacements in redshift space.
    """
    factors, first, last_rate = _step_factors(Omega_m, scale_factor, num_steps)
    start = tuple(jnp.asarray(places) for places in np.indices(grid.shape, float))

    @jax.checkpoint
    def step(state: tuple[Array, Array], factor: Array) -> tuple[tuple[Array, Array], None]:
        moved, velocity = state
        half, middle, alpha = factor
        moved = moved + half * velocity
        pull = _pull(moved, start, grid)
        velocity = alpha * velocity + (1.0 - alpha) * pull / middle
        return (moved + half * velocity, velocity), None

    velocity = jnp.stack([displacement(density_k, grid, axis) for axis in range(3)])
    (moved, velocity), _ = jax.lax.scan(step, (jnp.zeros_like(velocity), velocity), factors)
    return tuple(moved), tuple(first * last_rate * velocity)


def _step_factors(
    Omega_m: Float[ArrayLike, ""], scale_factor: Float[ArrayLike, ""], num_steps: int
) -> tuple[Array, Array, Array]:
    """Half the length, the middle and α of each step; D and its rate at the end."""
    times = jnp.asarray(scale_factor) * jnp.arange(1, num_steps + 1) / num_steps
    grown = growth(times, Omega_m)
    slope = grown.second * grown.second_rate / (grown.first * grown.first_rate)
    start, second, first_slope = (jnp.concatenate([jnp.zeros(1), a[:-1]]) for a in (grown.first, grown.second, slope))
    length = grown.first - start
    middle = start + 0.5 * length
    limit = (second + 0.5 * length * first_slope) / middle - middle
    alpha = (slope - limit) / (first_slope - limit)
    return jnp.stack([0.5 * length, middle, alpha], -1), grown.first[-1], grown.first_rate[-1]


def _pull(moved: Array, start: tuple[Array, ...], grid: RegularGrid) -> Array:
    """The field whose divergence is minus the density contrast, at the particles."""
    positions = tuple(q + x / d for q, x, d in zip(start, moved, grid.distances, strict=True))
    mesh = painted(positions, jnp.ones(grid.shape, moved.dtype), grid.shape)
    density_k = jnp.fft.rfftn(mesh)
    return jnp.stack([read(displacement(density_k, grid, axis), positions) for axis in range(3)])
