"""Particles to and from a periodic mesh.

A particle is a cube as large as a cell, and each cell gets the part of it that lies within (order 2, clouds in cells); or
that cube smoothed by such cubes again (3, triangular-shaped clouds; 4, piecewise cubic), which is spread over more cells and
smoother in the particle's position. Positions are in cells: the centre of cell (i, j, k) is at (i, j, k).

References
----------
Hockney & Eastwood 1988, Computer Simulation Using Particles, section 5-3; Jing 2005, ApJ 620, 559
(arXiv:astro-ph/0409240), equation 18 (the window); Sefusatti et al. 2016, MNRAS 460, 3624 (arXiv:1512.07295), section 3
(orders up to 4).
"""

import math
from collections.abc import Iterator
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayesastro.simulators.fields.displacement import wave_numbers
from bayesastro.simulators.fields.grids import RegularGrid

__all__ = ["PaintingOrder", "cloud_window", "painted", "read"]

PaintingOrder = Literal[2, 3, 4]
"""Cells along an axis that a particle is spread over."""


def painted(
    positions: tuple[Float[Array, "*particles"], ...],
    weights: Float[Array, "*particles"],
    shape: tuple[int, ...],
    *,
    order: PaintingOrder = 2,
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
    order : {2, 3, 4}
        Cells along an axis that a particle is spread over.

    Returns
    -------
    array of `shape`
        Its sum is that of the weights. Its derivatives with respect to positions are continuous up to the `order` minus
        second one; those of order 2 jump where a particle's centre crosses a cell's.
    """
    mesh = jnp.zeros(math.prod(shape), weights.dtype)
    for place, share in _cells(positions, shape, order):
        mesh = mesh.at[place].add(share * weights.ravel())
    return mesh.reshape(shape)


def read(
    mesh: Float[Array, "..."], positions: tuple[Float[Array, "*particles"], ...], *, order: PaintingOrder = 2
) -> Float[Array, "*particles"]:
    """Values of a mesh at particles, the transpose of painting; `positions` and `order` as for :func:`painted`."""
    flat = mesh.ravel()
    values = jnp.zeros((), mesh.dtype)
    for place, share in _cells(positions, mesh.shape, order):
        values = values + jnp.sum(share * flat[place], axis=tuple(range(mesh.ndim - 1)))
    return values.reshape(jnp.broadcast_shapes(*(position.shape for position in positions)))


def cloud_window(grid: RegularGrid, *, order: PaintingOrder = 2) -> Float[Array, "nx ny nz_half"]:
    """Factors by which painting lowers the modes that ``rfftn`` keeps."""
    x, y, z = (jnp.sinc(0.5 / jnp.pi * k * d) ** order for k, d in zip(wave_numbers(grid), grid.distances, strict=True))
    return x * y * z


def _cells(
    positions: tuple[Float[Array, "*particles"], ...], shape: tuple[int, ...], order: int
) -> Iterator[tuple[Int[Array, "*cells particles"], Float[Array, "*cells particles"]]]:
    """Flat places of cells about each particle, and its parts in them, for each step along the first axis."""
    place, share = 0, 1.0
    splines = [_spline(position.ravel(), order) for position in jnp.broadcast_arrays(*positions)]
    for axis, n in enumerate(shape[1:], start=1):
        first, parts = splines[axis]
        along = [order if i == axis else 1 for i in range(1, len(shape))] + [-1]
        cells = jnp.mod(first.astype(int) + jnp.arange(order)[:, None], n)
        place, share = place * n + cells.reshape(along), share * jnp.stack(parts).reshape(along)
    first, parts = splines[0]
    for step, part in enumerate(parts):
        yield jnp.mod(first.astype(int) + step, shape[0]) * math.prod(shape[1:]) + place, part * share


def _spline(position: Float[Array, " particles"], order: int) -> tuple[Array, list[Float[Array, " particles"]]]:
    """First of the cells that a particle is spread over along an axis, and its parts in them."""
    if order == 3:
        nearest = jnp.round(position)
        t = position - nearest
        return nearest - 1, [0.5 * jnp.square(0.5 - t), 0.75 - jnp.square(t), 0.5 * jnp.square(0.5 + t)]
    lower = jnp.floor(position)
    t = position - lower
    if order == 2:
        return lower, [1.0 - t, t]
    s = 1.0 - t
    return lower - 1, [part / 6.0 for part in (s**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * s**2 + 3 * s**3, t**3)]
