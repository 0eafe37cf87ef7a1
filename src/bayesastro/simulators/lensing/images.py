"""Where a point source is seen: all images of it, as a differentiable function of lens and source.

The image plane is covered with triangles. Those that the lens equation maps to triangles around the source hold an
image, which Newton's method then finds. Derivatives follow from the implicit function theorem at the images, not from
the search. The number of images is fixed, with a mask, so that the solver can be compiled and vectorised over lenses.

References
----------
Keeton (2001), arXiv:astro-ph/0102340, section 3.3 (tiling);
Blondel et al. (2022), arXiv:2105.15183 (implicit derivatives).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, ScalarLike

from bayesastro.simulators.lensing.delays import fermat_potential
from bayesastro.simulators.lensing.mass import Mass, ray_trace

__all__ = ["ImagePositions", "image_positions"]

TOLERANCE = 1e-9
"""Distance [arcsec] in the source plane, in double precision, within which a root counts as found."""

SINGLE_TOLERANCE = 1e-5


class ImagePositions(NamedTuple):
    """Images in order of arrival; where `is_image` is False there is none, and the position means nothing."""

    x: Float[Array, " images"]
    y: Float[Array, " images"]
    is_image: Bool[Array, " images"]


def image_positions(
    mass: Mass,
    beta_x: ScalarLike,
    beta_y: ScalarLike,
    *,
    half_width: float,
    num_grid: int = 100,
    max_images: int = 5,
    num_newton: int = 30,
) -> ImagePositions:
    """Images of a point source at `beta_x`, `beta_y` [arcsec].

    Two images closer to each other than a cell of the grid, beside a critical curve, can be missed together, as can
    an image outside the window. Singular masses have no image at their centre.

    Parameters
    ----------
    mass : Mass
    beta_x, beta_y : scalar [arcsec]
    half_width : float [arcsec]
        Of the square window about the origin that is searched.
    num_grid : int
        Cells of the grid along each side.
    max_images : int
        The length of the arrays returned. Of more images the earliest arrivals are returned.
    num_newton : int
        Steps of Newton's method.

    Raises
    ------
    ValueError
        If the window, the grid or the number of images is not positive.
    """
    if not (half_width > 0 and num_grid >= 2 and max_images >= 1 and num_newton >= 1):
        raise ValueError(
            "`image_positions` needs a positive window, at least two cells, one image and one step, but "
            f"half_width={half_width}, num_grid={num_grid}, max_images={max_images}, num_newton={num_newton} came."
        )
    beta = jnp.stack(jnp.broadcast_arrays(jnp.asarray(beta_x, float), jnp.asarray(beta_y, float)))
    starts, is_candidate = jax.lax.stop_gradient(_candidates(mass, beta, half_width, num_grid, 2 * max_images + 2))
    size = 2 * half_width / num_grid
    roots = jax.vmap(lambda start: _root(mass, beta, start, size, num_newton))(starts)
    tolerance = TOLERANCE if roots.dtype == jnp.float64 else SINGLE_TOLERANCE
    residual = jax.vmap(lambda theta: _source(mass, theta) - beta)(roots)
    is_image = is_candidate & (jnp.hypot(residual[:, 0], residual[:, 1]) < tolerance)
    # Neighbouring triangles can lead to one root; a Newton step can leave for a root found from elsewhere.
    distance = jnp.max(jnp.abs(roots[:, None] - roots[None]), axis=-1)
    is_earlier = np.tri(len(roots), k=-1, dtype=bool)
    is_image &= ~jnp.any((distance < 1e-3 * size) & is_earlier & is_image[None], axis=1)
    times = fermat_potential(mass, roots[:, 0], roots[:, 1], beta[0], beta[1])
    order = jnp.argsort(jnp.where(is_image, jax.lax.stop_gradient(times), jnp.inf))[:max_images]
    return ImagePositions(roots[order, 0], roots[order, 1], is_image[order])


def _source(mass: Mass, theta: Float[Array, " 2"]) -> Float[Array, " 2"]:
    return jnp.stack(ray_trace(mass, theta[0], theta[1]))


def _candidates(
    mass: Mass, beta: Float[Array, " 2"], half_width: float, num_grid: int, number: int
) -> tuple[Array, Array]:
    """Centroids of the triangles whose map holds the source, and which of them are such."""
    side = jnp.linspace(-half_width, half_width, num_grid + 1, dtype=beta.dtype)
    x, y = jnp.meshgrid(side, side)
    plane = jnp.stack([x, y])
    offset = jnp.stack(ray_trace(mass, x, y)) - beta[:, None, None]
    corner = [(slice(None), i, j) for i in (slice(None, -1), slice(1, None)) for j in (slice(None, -1), slice(1, None))]
    triangles = [(corner[0], corner[1], corner[2]), (corner[3], corner[2], corner[1])]
    inside, centroids = [], []
    for places in triangles:
        a, b, c = (offset[place] for place in places)
        signs = jnp.stack([jnp.sign(p[0] * q[1] - p[1] * q[0]) for p, q in ((a, b), (b, c), (c, a))])
        inside.append(jnp.all(signs >= 0, axis=0) | jnp.all(signs <= 0, axis=0))
        centroids.append(sum(plane[place] for place in places) / 3.0)
    is_inside = jnp.stack(inside).ravel()
    (found,) = jnp.nonzero(is_inside, size=number, fill_value=0)
    centre = jnp.stack(centroids, axis=1).reshape(2, -1)
    return centre[:, found].T, jnp.arange(number) < jnp.sum(is_inside)


def _root(mass: Mass, beta: Float[Array, " 2"], start: Float[Array, " 2"], size: float, num_newton: int) -> Array:
    """The solution of the lens equation nearest to `start`, with implicit derivatives."""

    def residual(theta: Array) -> Array:
        return _source(mass, theta) - beta

    def solve(function, theta):
        def step(_, theta):
            move = _solved(jax.jacfwd(function)(theta), -function(theta))
            # No step is longer than a cell, lest a root beyond a critical curve be taken for the one here.
            length = jnp.hypot(move[0], move[1])
            move = move * jnp.minimum(1.0, size / jnp.maximum(length, 1e-30))
            return theta + jnp.where(jnp.all(jnp.isfinite(move)), move, 0.0)

        return jax.lax.fori_loop(0, num_newton, step, theta)

    def tangent_solve(linear, right):
        return _solved(jax.jacfwd(linear)(right), right)

    return jax.lax.custom_root(residual, start, solve, tangent_solve)


def _solved(matrix: Float[Array, "2 2"], right: Float[Array, " 2"]) -> Float[Array, " 2"]:
    (a, b), (c, d) = matrix
    determinant = a * d - b * c
    return jnp.stack([d * right[0] - b * right[1], a * right[1] - c * right[0]]) / determinant
