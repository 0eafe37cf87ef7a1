r"""Particles under their own gravity on a periodic mesh, in few steps that keep second-order perturbation theory.

With the linear growth D as time and :math:`v = dx/dD`, a step drifts by half of ΔD, kicks, and drifts again:

.. math::

    v \to \alpha v + (1 - \alpha) \frac{A(x)}{D_{1/2}}, \qquad
    \alpha = \frac{D_2'(D_1) - F}{D_2'(D_0) - F}, \quad
    F = \frac{D_2(D_0) + D_2'(D_0) \, \Delta D / 2}{D_{1/2}} - D_{1/2},

where A is the field whose divergence is minus the density contrast, :math:`D_{1/2}` the middle of the step from
:math:`D_0` to :math:`D_1`, and :math:`D_2(D)` the second-order growth. Steps are of equal length in the scale factor, from 0 on.

The field is that of a mesh as fine as the particles' own lattice. There clouds in cells will not do: a particle that has moved
by a small part of a cell takes from one neighbour and gives to none behind, so that the density of a wave is half a cell off,
and steps add up such errors. Piecewise cubic clouds, and for each mode the factor that is best for particles at all places
within a cell, keep them to a per cent in displacements of half the mesh's shortest wave.

References
----------
Rampf, List & Hahn 2025, JCAP 02, 020 (arXiv:2409.19049), equations 2.3 and 3.5 to 3.7; List & Hahn 2024, J. Comput. Phys. 513, 113201
(arXiv:2301.09655). Hockney & Eastwood 1988, Computer Simulation Using Particles, equation 8-22 (the factors).
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from bayesastro.simulators.cosmology.growing_modes import growth
from bayesastro.simulators.fields.displacement import density_of, displacement, wave_numbers
from bayesastro.simulators.fields.grids import RegularGrid
from bayesastro.simulators.fields.painting import painted, read

__all__ = ["evolved"]

ORDER = 4
"""Of painting and reading."""


def evolved(
    density_k: Complex[Array, "nx ny nz_half"],
    Omega_m: Float[ArrayLike, ""],
    scale_factor: Float[ArrayLike, ""],
    grid: RegularGrid,
    num_steps: int,
) -> tuple[Float[Array, "3 nx ny nz"], Float[Array, "3 nx ny nz"]]:
    """Displacements of one particle for each cell, and their velocities.

    Parameters
    ----------
    density_k : array, shape (nx, ny, nz // 2 + 1)
        Fourier coefficients, as of ``rfftn``, of the linear density contrast today.
    Omega_m, scale_factor : scalar
        Density of matter today, and when the particles are seen.
    grid : RegularGrid
        Of three dimensions.
    num_steps : int
        One is close to second-order perturbation theory; the memory of a gradient grows by six fields with each.

    Returns
    -------
    displacements, velocities : array, shape (3, nx, ny, nz) [unit of length]
        Along each axis; velocities over the expansion rate, the displacements in redshift space.
    """
    factors, growth_now, rate_now = _step_factors(Omega_m, scale_factor, num_steps)
    starts = tuple(jnp.asarray(places) for places in np.indices(grid.shape, float))
    force = _force_factors(grid)

    @jax.checkpoint
    def step(state: tuple[Array, Array], factor: Array) -> tuple[tuple[Array, Array], None]:
        moved, velocity = state
        half, middle, alpha = factor
        moved = moved + half * velocity
        velocity = alpha * velocity + (1.0 - alpha) * _pull(moved, starts, force, grid) / middle
        return (moved + half * velocity, velocity), None

    velocity = jnp.stack([displacement(density_k, grid, axis) for axis in range(3)])
    (moved, velocity), _ = jax.lax.scan(step, (jnp.zeros_like(velocity), velocity), factors)
    return moved, growth_now * rate_now * velocity


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


def _force_factors(grid: RegularGrid) -> tuple[Float[Array, "nx ny nz_half"], ...]:
    """Of painted modes to those of the field along each axis, over i: the least error for particles anywhere in a cell.

    Waves that the mesh cannot tell apart, k and k plus whole turns a cell, are weighed by the squares of their windows.
    """
    waves = wave_numbers(grid)
    total: Array | float = 0.0
    forces: list[Array | float] = [0.0] * 3
    for turns in itertools.product((-1, 0, 1), repeat=3):
        k = [wave + 2.0 * np.pi * turn / d for wave, turn, d in zip(waves, turns, grid.distances, strict=True)]
        seen: Array | float = 1.0
        for wave, d in zip(k, grid.distances, strict=True):
            seen = seen * jnp.sinc(0.5 / jnp.pi * wave * d) ** (2 * ORDER)
        squared = jnp.square(k[0]) + jnp.square(k[1]) + jnp.square(k[2])
        pull = seen / jnp.where(squared > 0, squared, jnp.inf)
        total, forces = total + seen, [force + wave * pull for force, wave in zip(forces, k, strict=True)]
    return tuple(force / jnp.square(total) for force in forces)


def _pull(moved: Array, starts: tuple[Array, ...], force: tuple[Array, ...], grid: RegularGrid) -> Array:
    """The field whose divergence is minus the density contrast, at the particles."""
    positions = tuple(q + x / d for q, x, d in zip(starts, moved, grid.distances, strict=True))
    mesh = painted(positions, jnp.ones(grid.shape, moved.dtype), grid.shape, order=ORDER)
    density_k = jnp.fft.rfftn(mesh)
    return jnp.stack([read(density_of(1j * factor * density_k, grid), positions, order=ORDER) for factor in force])
