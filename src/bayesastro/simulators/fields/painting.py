"""Particles to and from a periodic mesh, by clouds in cells.

A particle is a cube as large as a cell, and each cell gets the part of it that lies within. Positions are in cells: the
centre of cell (i, j, k) is at (i, j, k).

References
----------
Hockney & Eastwood 1988, Computer Simulation Using Particles, section 5-3; Jing 2005, ApJ 620, 559
(arXiv:astro-ph/0409240), equation 18 (the window).
"""

import itertools
import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayesastro.simulators.fields.displacement import wave_numbers
from bayesastro.simulators.fields.grids import RegularGrid

__all__ = ["cloud_window", "painted", "read"]


def painted(
    positions: tuple[Float[Array, "*particles"], ...],
    weights: Float[Array, "*particles"],
    shape: tuple[int, ...],
) -> Float[Array, "..."]:
    """Sum of the particles' weights in each cell.

    Parameters
    ----------
    positions : tuple of array
        Along each axis, in cells; beyond the mesh they come back on the other side.
    weights : array
        Of each particle.
    shape : tuple of int
        Of the mesh.

    Returns
    -------
    array of `shape`
        Its sum is that of the weights. It is continuous in the positions, and differentiable but where a particle's
        centre crosses a cell's.
    """
    mesh = jnp.zeros(math.prod(shape), weights.dtype)
    for place, share in _corners(positions, shape):
        mesh = mesh.at[place.ravel()].add((weights * share).ravel())
    return mesh.reshape(shape)


def read(mesh: Float[Array, "..."], positions: tuple[Float[Array, "*particles"], ...]) -> Float[Array, "*particles"]:
    """Values of a mesh at particles, the transpose of painting; `positions` as for :func:`painted`."""
    flat = mesh.ravel()
    return sum((share * flat[place] for place, share in _corners(positions, mesh.shape)), jnp.zeros((), mesh.dtype))


def cloud_window(grid: RegularGrid) -> Float[Array, "nx ny nz_half"]:
    """Factors by which painting lowers the modes that ``rfftn`` keeps."""
    x, y, z = (
        jnp.square(jnp.sinc(0.5 / jnp.pi * k * d)) for k, d in zip(wave_numbers(grid), grid.distances, strict=True)
    )
    return x * y * z


def _corners(
    positions: tuple[Float[Array, "*particles"], ...], shape: tuple[int, ...]
) -> list[tuple[Int[Array, "*particles"], Float[Array, "*particles"]]]:
    """Flat places of the cells about each particle, and its parts in them."""
    lower = [jnp.floor(position) for position in positions]
    inside = [position - low for position, low in zip(positions, lower, strict=True)]
    cells = [low.astype(int) for low in lower]
    corners = []
    for corner in itertools.product((0, 1), repeat=len(shape)):
        place, share = 0, 1.0
        for side, cell, part, n in zip(corner, cells, inside, shape, strict=True):
            place = place * n + jnp.mod(cell + side, n)
            share = share * (part if side else 1.0 - part)
        corners.append((place, share))
    return corners
