"""Point-spread functions that change over the image: sums by hand, the constant limit, and the adjoint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.signal import fftconvolve

from bayesastro.simulators.instruments import king_psf, variant_convolved

RNG = np.random.default_rng(9)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def gaussians(positions, size=9):
    """Widths and orientations that change smoothly with position, in units of the field."""
    y, x = np.mgrid[:size, :size] - size // 2
    found = []
    for v, u in np.reshape(positions, (-1, 2)):
        wide, narrow, angle = 1.2 + 0.8 * u, 1.0 + 0.3 * v, 2.0 * u + v
        along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        psf = np.exp(-0.5 * ((along / wide) ** 2 + (across / narrow) ** 2))
        found.append(psf / psf.sum())
    return np.reshape(found, (*np.shape(positions)[:-1], size, size))


def nodes_of(shape, number):
    rows, columns = ((np.arange(g) + 0.5) * n / g - 0.5 for n, g in zip(shape, number, strict=True))
    return rows, columns


def psfs_at_nodes(shape, number):
    rows, columns = nodes_of(shape, number)
    return gaussians(np.stack(np.meshgrid(rows / shape[0], columns / shape[1], indexing="ij"), -1))


def spread_one_by_one(image, psf_at):
    """Every pixel's light by the point-spread function there."""
    ny, nx = image.shape
    total = np.zeros((ny + 8, nx + 8))
    for i in range(ny):
        for j in range(nx):
            total[i : i + 9, j : j + 9] += image[i, j] * psf_at(i, j)
    return total[4:-4, 4:-4]


@pytest.mark.parametrize(
    ("shape", "number"), [((20, 26), (3, 4)), ((17, 11), (1, 2)), ((12, 12), (1, 1)), ((9, 8), (9, 4))]
)
def test_it_is_the_sum_over_pixels_of_interpolated_psfs(shape, number):
    image, psfs = RNG.uniform(size=shape), psfs_at_nodes(shape, number)
    rows, columns = nodes_of(shape, number)
    inside = lambda place, nodes: np.clip(place, nodes[0], nodes[-1])  # noqa: E731

    def psf_at(i, j):
        if len(rows) == 1 or len(columns) == 1:
            weights = [np.interp(p, n, row) for p, n in ((i, rows), (j, columns)) for row in np.eye(len(n))]
            weight = np.outer(weights[: len(rows)], weights[len(rows) :])
            return np.einsum("ab,abij->ij", weight, psfs)
        point = [inside(i, rows), inside(j, columns)]
        return RegularGridInterpolator((rows, columns), psfs)(point)[0]

    np.testing.assert_allclose(variant_convolved(image, psfs), spread_one_by_one(image, psf_at), atol=1e-12)


def test_equal_psfs_are_a_convolution():
    image, psf = RNG.uniform(size=(30, 22)), gaussians([0.3, 0.6])
    found = variant_convolved(image, np.broadcast_to(psf, (3, 2, 9, 9)))
    np.testing.assert_allclose(found, fftconvolve(image, psf, mode="same"), atol=1e-12)


def test_the_adjoint_is_exact():
    shape = (20, 26)
    psfs = psfs_at_nodes(shape, (3, 4))
    one, other = (jnp.asarray(RNG.normal(size=shape)) for _ in range(2))
    spread, transpose = jax.vjp(lambda image: variant_convolved(image, psfs), one)
    assert float(jnp.vdot(spread, other)) == pytest.approx(float(jnp.vdot(one, transpose(other)[0])), rel=1e-12)


def test_more_nodes_are_nearer_to_the_exact_sum():
    """The error falls as the square of the distance between nodes, and is far below the change over the field."""
    shape = (32, 32)
    image = RNG.uniform(size=shape)
    exact = spread_one_by_one(image, lambda i, j: gaussians([i / 32, j / 32]))
    errors = [
        float(np.abs(np.asarray(variant_convolved(image, psfs_at_nodes(shape, (g, g)))) - exact)[8:-8, 8:-8].max())
        for g in (1, 4, 8)
    ]
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 0.35 * errors[1]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="needs odd sides"):
        variant_convolved(np.ones((9, 9)), np.ones((1, 1, 4, 3)))
    with pytest.raises(ValueError, match="no room for"):
        variant_convolved(np.ones((3, 9)), np.ones((4, 1, 3, 3)))


def test_king_profile():
    """Of unit sum, with the shares of light that the integrated profile has: 1 − (1 + (r/r_c)²)^(1 − α) within r."""
    psf = np.asarray(king_psf(401, 1.0, 5.0, 2.0))
    assert psf.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(psf, psf.T, rtol=1e-10)
    np.testing.assert_allclose(psf, psf[::-1], rtol=1e-10)
    place = np.arange(401) - 200.0
    within = psf[np.hypot(place[:, None], place) < 30.5].sum()
    assert within == pytest.approx(1 - 1 / (1 + (30.5 / 5.0) ** 2), abs=2e-3)
    fine = king_psf(41, 0.5, 5.0, 1.5)[20, 20] / king_psf(41, 0.5, 5.0, 1.5)[20, 30]
    assert float(fine) == pytest.approx(2.0**1.5, rel=1e-2)
    with pytest.raises(ValueError, match="odd"):
        king_psf(4, 1.0, 5.0, 1.5)
