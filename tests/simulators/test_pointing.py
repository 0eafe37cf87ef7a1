"""Maps of point sources: both forms of the matrix against dense algebra, gradients, the beam of the published tile, bad input."""

import jax
import numpy as np
import pytest

from bayesastro.datasets.confused_maps import read_xidplus_tile
from bayesastro.simulators.spectra.pointing import gaussian_beam, pointing_entries, pointing_matrix
from bayesastro.simulators.spectra.response import DenseMatrix, SparseMatrix

RNG = np.random.default_rng(0)


def entries(num, num_pixels, num_sources):
    return RNG.uniform(0, 1, num), RNG.integers(0, num_pixels, num), RNG.integers(0, num_sources, num)


@pytest.mark.parametrize(("num", "kind"), [(150, SparseMatrix), (600, DenseMatrix)])
def test_product_and_its_gradient_are_those_of_the_dense_matrix(num, kind):
    beam, pixel, source = entries(num, 90, 20)
    dense = np.zeros((90, 20))
    np.add.at(dense, (pixel, source), beam)
    matrix, flux, weight = pointing_matrix(beam, pixel, source, 90, 20), RNG.uniform(0, 9, 20), RNG.normal(size=90)
    assert isinstance(matrix, kind)
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(lambda f: matrix(f))(flux), dense @ flux, rtol=1e-12)
        slope = jax.grad(lambda f: (weight * matrix(f)).sum())(flux)
        np.testing.assert_allclose(slope, weight @ dense, rtol=1e-10, atol=1e-12)
        many = jax.vmap(matrix)(np.stack([flux, 2 * flux]))
        np.testing.assert_allclose(many[1], 2 * dense @ flux, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(lambda f: matrix(f))(flux.astype(np.float32)), dense @ flux, rtol=1e-5)


def test_entries_are_all_pairs_within_reach():
    x, y = (axis.ravel().astype(float) for axis in np.mgrid[:12, :9])
    where = (np.array([3.0, 4.3, 50.0]), np.array([2.0, 7.9, 1.0]))  # on a pixel, between pixels, off the map
    beam, pixel, source = pointing_entries(lambda dx, dy: gaussian_beam(dx, dy, 2.5), (x, y), where, 3.0)
    dx, dy = x[:, None] - where[0], y[:, None] - where[1]
    expected = np.where(np.hypot(dx, dy) <= 3.0, np.exp(-4 * np.log(2) * (dx**2 + dy**2) / 2.5**2), 0.0)
    found = np.zeros_like(expected)
    found[pixel, source] = beam
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(beam) == np.count_nonzero(expected)
    assert found.max() == 1.0


def test_a_gaussian_beam_has_half_its_peak_at_half_its_width():
    np.testing.assert_allclose(gaussian_beam(np.array([0.0, 9.0]), np.array([0.0, 0.0]), 18.0), [1.0, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("band", "fwhm", "size"), [("psw250", 18.15, 6.0), ("pmw350", 25.15, 25 / 3), ("plw500", 36.3, 12.0)]
)
def test_the_published_matrix_is_the_beam_of_spire(published_file, band, fwhm, size):
    """XID+ takes the nearest value of a beam drawn every arcsecond: off by at most half a step in each direction."""
    tile = read_xidplus_tile(published_file("xidplus/xid_spire_tile.npz"))[band]
    pixels, sources = (tile.x * size, tile.y * size), (tile.source_x * size, tile.source_y * size)
    beam, pixel, source = pointing_entries(lambda dx, dy: gaussian_beam(dx, dy, fwhm), pixels, sources, 75.0)
    ours = np.zeros((tile.x.size, 51))
    ours[pixel, source] = beam
    difference = ours[tile.pixel, tile.source] - tile.beam
    steepest = 2 * np.sqrt(2 * np.log(2)) / fwhm * np.exp(-0.5)  # slope of a Gaussian, per arcsec
    assert np.abs(difference).max() < steepest * np.hypot(0.5, 0.5)
    assert np.median(np.abs(difference)) < 2e-3


def test_places_outside_the_matrix_are_refused():
    beam, pixel, source = entries(10, 5, 4)
    for wrong, message in [
        ((beam, pixel + 5, source), "`pixel` must hold numbers from 0 to 4"),
        ((beam, pixel, source - 4), "`source` must hold numbers from 0 to 3"),
        ((beam[1:], pixel, source), "of one length"),
        ((-beam, pixel, source), "not below 0"),
        ((beam * np.nan, pixel, source), "finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            pointing_matrix(*wrong, 5, 4)
    with pytest.raises(ValueError, match="`reach` positive"):
        pointing_entries(gaussian_beam, (beam, beam), (beam, beam), 0.0)
    with pytest.raises(ValueError, match="must be finite"):
        pointing_entries(gaussian_beam, (beam * np.nan, beam), (beam, beam), 1.0)
