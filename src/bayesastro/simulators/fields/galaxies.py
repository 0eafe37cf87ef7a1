r"""Density of galaxies from the linear density of matter: bias in Lagrangian space, displacement, redshifts.

Matter at q carries the weight

.. math::

    w = 1 + b_1 \delta + b_2 (\delta^2 - \langle \delta^2 \rangle) + b_{s^2} (s^2 - \langle s^2 \rangle)
        + b_{\nabla^2} \nabla^2 \delta

of the linear density δ at the time, with the shear :math:`s_{ij} = \varphi_{,ij} - \delta_{ij} \delta / 3`; it is moved by
perturbation theory of second order, or by its own gravity in some steps of a particle mesh, and painted on the mesh (by clouds
in cells, or piecewise cubic ones). The window of painting is divided out. Where the weights are below 0 so may be the density:
it is an expansion.

In redshift space matter is also moved along the last axis, by its velocity over the expansion rate.

References
----------
Modi, Chen & White 2020, MNRAS 492, 5754 (arXiv:1910.07097), equation 5; Simon-Onfroy, Lanusse & de Mattia 2025
(arXiv:2504.20130), section 2. Kaiser 1987, MNRAS 227, 1 (the linear limit).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from bayesastro.simulators.cosmology.growing_modes import Growth, growth
from bayesastro.simulators.fields.displacement import (
    density_of,
    displacement,
    second_order_source,
    tidal_field,
    wave_numbers,
)
from bayesastro.simulators.fields.grids import RegularGrid
from bayesastro.simulators.fields.painting import cloud_window, painted
from bayesastro.simulators.fields.particle_mesh import evolved

__all__ = ["Bias", "galaxy_density", "kaiser_boost", "lagrangian_weights"]


class Bias(NamedTuple):
    """Coefficients of the weights; those of δ², s² and ∇²δ are without factors of a half."""

    b1: Float[ArrayLike, ""]
    b2: Float[ArrayLike, ""] = 0.0
    bs2: Float[ArrayLike, ""] = 0.0
    bn2: Float[ArrayLike, ""] = 0.0
    """In units of length squared."""


def lagrangian_weights(
    density_k: Complex[Array, "nx ny nz_half"],
    tidal: tuple[Float[Array, "nx ny nz"], ...],
    bias: Bias,
    grid: RegularGrid,
) -> Float[Array, "nx ny nz"]:
    """Galaxies for each unit of matter, of mean 1.

    Parameters
    ----------
    density_k : array
        Fourier coefficients of the linear density at the time.
    tidal : tuple of array
        Second derivatives of its potential, of `tidal_field`.
    bias : Bias
    grid : RegularGrid
    """
    xx, yy, zz, xy, xz, yz = (jnp.square(part) for part in tidal)
    density = tidal[0] + tidal[1] + tidal[2]
    density_squared = jnp.square(density)
    shear_squared = xx + yy + zz + 2.0 * (xy + xz + yz) - density_squared / 3.0
    x, y, z = wave_numbers(grid)
    laplacian = density_of(-(jnp.square(x) + jnp.square(y) + jnp.square(z)) * density_k, grid)
    return (
        1.0
        + jnp.asarray(bias.b1) * density
        + bias.b2 * (density_squared - jnp.mean(density_squared))
        + bias.bs2 * (shear_squared - jnp.mean(shear_squared))
        + bias.bn2 * laplacian
    )


def galaxy_density(
    density_k: Complex[Array, "nx ny nz_half"],
    bias: Bias,
    Omega_m: Float[ArrayLike, ""],
    scale_factor: Float[ArrayLike, ""],
    grid: RegularGrid,
    *,
    redshift_space: bool = True,
    num_steps: int = 0,
) -> Float[Array, "nx ny nz"]:
    """Density of galaxies in units of its mean.

    Parameters
    ----------
    density_k : array, shape (nx, ny, nz // 2 + 1)
        Fourier coefficients, as of ``rfftn``, of the linear density contrast today.
    bias : Bias
    Omega_m, scale_factor : scalar
        Density of matter today, and when the galaxies are seen.
    grid : RegularGrid
        Of three dimensions; one particle starts in each of its cells.
    redshift_space : bool
        Moved along the last axis by their velocities.
    num_steps : int
        Of a particle mesh, by :func:`~bayesastro.simulators.fields.particle_mesh.evolved`; 0 for perturbation theory.

    Returns
    -------
    array, shape (nx, ny, nz)
    """
    grown = growth(scale_factor, Omega_m)
    tidal = tidal_field(density_k, grid)
    if num_steps:
        moved, velocity = evolved(density_k, Omega_m, scale_factor, grid, num_steps)
        moved = moved.at[2].add(velocity[2]) if redshift_space else moved
    else:
        moved = _by_perturbations(density_k, tidal, grown, grid, redshift_space=redshift_space)
    tidal_then = tuple(grown.first * part for part in tidal)
    weights = lagrangian_weights(grown.first * density_k, tidal_then, bias, grid)
    positions = tuple(_start(grid, axis) + moved[axis] / d for axis, d in enumerate(grid.distances))
    order = 4 if num_steps else 2
    mesh = painted(positions, weights, grid.shape, order=order)
    return density_of(jnp.fft.rfftn(mesh) / cloud_window(grid, order=order), grid)


def _by_perturbations(
    density_k: Array, tidal: tuple[Array, ...], grown: Growth, grid: RegularGrid, *, redshift_space: bool
) -> list[Float[Array, "nx ny nz"]]:
    """Displacements to second order along each axis."""
    source_k = jnp.fft.rfftn(second_order_source(tidal))
    along = [(grown.first, grown.second)] * 3
    if redshift_space:
        along[2] = (grown.first * (1.0 + grown.first_rate), grown.second * (1.0 + grown.second_rate))
    return [displacement(one * density_k - two * source_k, grid, axis) for axis, (one, two) in enumerate(along)]


def kaiser_boost(
    bias: Bias,
    Omega_m: Float[ArrayLike, ""],
    scale_factor: Float[ArrayLike, ""],
    grid: RegularGrid,
    *,
    redshift_space: bool = True,
) -> Float[Array, "..."]:
    """Linear theory of :func:`galaxy_density`: its contrast over that of matter today, by mode of the grid.

    Returns
    -------
    array of the grid's shape
    """
    grown = growth(scale_factor, Omega_m)
    eulerian = 1.0 + jnp.asarray(bias.b1)
    if not redshift_space:
        return jnp.broadcast_to(grown.first * eulerian, grid.shape)
    return grown.first * (eulerian + grown.first_rate * _squared_cosine(grid))


def _squared_cosine(grid: RegularGrid) -> Float[Array, "nx ny nz"]:
    """Of the angle between each mode and the last axis; 0 for no wave."""
    x, y, z = (
        jnp.square(jnp.fft.fftfreq(n, d)).reshape([-1 if i == axis else 1 for i in range(3)])
        for axis, (n, d) in enumerate(zip(grid.shape, grid.distances, strict=True))
    )
    return z / (x + y + z).at[0, 0, 0].set(1.0)


def _start(grid: RegularGrid, axis: int) -> Float[Array, "..."]:
    """Where particles start along an axis, in cells."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return jnp.arange(grid.shape[axis], dtype=float).reshape(shape)
