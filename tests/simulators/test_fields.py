"""Grids, spectra and processes of fields against NIFTy's, and by their covariances."""

import jax
import jax.numpy as jnp
import nifty8.re as jft
import numpy as np
import pytest
from ducc0 import healpix
from matrix import Z
from scipy import special

from bayesastro.simulators.fields import (
    healpix_grid,
    integrated_wiener_process,
    ornstein_uhlenbeck_process,
    power_law_amplitude,
    regular_grid,
    wiener_process,
)

RNG = np.random.default_rng(8)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("shape", "distances"), [(31, 0.3), ((16, 24), (0.1, 0.25)), ((15, 20), 0.2), ((6, 5, 8), 1.0)]
)
def test_modes_are_those_of_nifty(shape, distances):
    grid = regular_grid(shape, distances)
    theirs = jft.correlated_field.make_grid(shape, distances, "fourier").harmonic_grid
    np.testing.assert_allclose(grid.mode_length, theirs.mode_lengths, rtol=1e-12)
    np.testing.assert_array_equal(grid.multiplicity, theirs.mode_multiplicity)
    np.testing.assert_array_equal(grid.mode_index, theirs.power_distributor)
    np.testing.assert_allclose(grid.log_mode_length, theirs.relative_log_mode_lengths[1:], rtol=1e-10, atol=1e-12)


def test_a_field_is_padded_and_cut():
    grid = regular_grid((20, 30), 0.5, padding=1.5)
    assert grid.shape == (20, 30)
    assert all(n >= 1.5 * m for n, m in zip(grid.harmonic_shape, grid.shape, strict=True))
    modes = jnp.asarray(RNG.normal(size=(3, *grid.harmonic_shape)))
    field = grid.synthesised(modes, 1)
    assert field.shape == (3, 20, 30)
    whole = regular_grid(grid.harmonic_shape, 0.5).synthesised(modes[1])
    np.testing.assert_allclose(field[1], whole[:20, :30], atol=1e-12)


def test_the_transform_is_its_own_transpose_and_inverse():
    grid = regular_grid((9, 8), 1.0)
    one, other = (jnp.asarray(RNG.normal(size=(9, 8))) for _ in range(2))
    assert float(jnp.vdot(grid.synthesised(one), other)) == pytest.approx(float(jnp.vdot(one, grid.synthesised(other))))
    np.testing.assert_allclose(grid.synthesised(grid.synthesised(one)) / one.size, one, atol=1e-12)


def test_modes_of_the_sphere_are_those_of_nifty():
    grid = healpix_grid(4)
    theirs = jft.correlated_field.make_grid(4, None, "spherical")
    assert grid.shape == theirs.shape
    assert grid.volume == pytest.approx(theirs.total_volume)
    np.testing.assert_array_equal(grid.mode_length, theirs.harmonic_grid.mode_lengths)
    np.testing.assert_array_equal(grid.multiplicity, theirs.harmonic_grid.mode_multiplicity)
    np.testing.assert_array_equal(grid.mode_index, theirs.harmonic_grid.power_distributor)
    assert grid.harmonic_shape == theirs.harmonic_grid.shape


@pytest.mark.parametrize("max_degree", [8, 11])
def test_modes_of_the_sphere_are_real_harmonics(max_degree):
    """Legendre's functions by SciPy at the pixels' places; order 0, and cosines and sines of the others."""
    grid = healpix_grid(4, max_degree=max_degree)
    colatitude, longitude = healpix.Healpix_Base(4, "RING").pix2ang(np.arange(192)).T
    expected = []
    for m in range(max_degree + 1):
        for degree in range(m, max_degree + 1):
            value = special.sph_harm_y(degree, m, colatitude, longitude)
            expected += [value.real] if m == 0 else [np.sqrt(2) * value.real, -np.sqrt(2) * value.imag]
    found = grid.synthesised(jnp.eye(len(grid.mode_index)), 1)
    np.testing.assert_allclose(found, np.sqrt(4 * np.pi) * np.array(expected), atol=1e-11)


def test_the_transform_of_the_sphere_has_its_transpose_and_is_batched():
    grid = healpix_grid(4)
    modes = jnp.asarray(RNG.normal(size=(3, *grid.harmonic_shape, 2)))
    field, transposed = jax.vjp(lambda x: grid.synthesised(x, 1), modes)
    assert field.shape == (3, 192, 2)
    other = jnp.asarray(RNG.normal(size=field.shape))
    assert float(jnp.vdot(field, other)) == pytest.approx(float(jnp.vdot(modes, transposed(other)[0])))
    np.testing.assert_allclose(jax.vmap(grid.synthesised)(modes[..., 0]), field[..., 0], atol=1e-12)
    assert grid.synthesised(modes[0, :, 0].astype(jnp.float32)).dtype == jnp.float32


def test_spheres_that_healpix_does_not_know_are_refused():
    for nside in (0, 12, -4):
        with pytest.raises(ValueError, match="must be a power of two"):
            healpix_grid(nside)
    for degree in (1, 12):
        with pytest.raises(ValueError, match=r"from 2 to 3 nside - 1 = 11, but"):
            healpix_grid(4, max_degree=degree)


def test_amplitudes_are_a_power_law_of_unit_variance():
    grid = regular_grid((20, 30), 0.5)
    amplitude = power_law_amplitude(grid, jnp.asarray(-1.7))
    assert float(jnp.sum(grid.multiplicity * amplitude**2)) == pytest.approx(1.0)
    slopes = np.diff(np.log(amplitude[1:])) / np.diff(np.log(grid.mode_length[1:]))
    np.testing.assert_allclose(slopes, -1.7, rtol=1e-8)
    assert amplitude[0] == 0


@pytest.mark.parametrize("asperity", [0.0, 0.7])
def test_processes_are_those_of_nifty(asperity):
    steps = RNG.uniform(0.1, 2.0, 30)
    xi, pairs = RNG.normal(size=30), RNG.normal(size=(30, 2))
    iwp = jft.gauss_markov.integrated_wiener_process(jnp.asarray(pairs), jnp.array([0.3, -0.2]), 0.8, steps, asperity)
    np.testing.assert_allclose(integrated_wiener_process(pairs, steps, 0.8, asperity, (0.3, -0.2)), iwp, rtol=1e-10)
    wp = jft.gauss_markov.wiener_process(jnp.asarray(xi), 0.3, 0.8, steps)
    np.testing.assert_allclose(wiener_process(xi, steps, 0.8, 0.3), wp, rtol=1e-10)
    oup = jft.gauss_markov.ornstein_uhlenbeck_process(jnp.asarray(xi), 0.8 * 0.4, 0.8, 1 / 1.5, steps)
    ours = ornstein_uhlenbeck_process(jnp.asarray(np.append(0.4, xi)), steps, 0.8, 1.5)
    np.testing.assert_allclose(ours, oup, rtol=1e-10)


def test_covariances_are_those_of_the_processes():
    """Of a smooth walk of variance σ²t³/3, which depends on no step; of a stationary process at any time."""
    num, steps = 20_000, np.array([0.5, 1.0, 0.25, 1.25])
    keys = jax.random.normal(jax.random.key(3), (num, 4, 2))
    walks = jax.vmap(lambda xi: integrated_wiener_process(xi, steps, 0.8)[:, 0])(keys)
    time = np.cumsum(steps)
    expected = 0.8**2 * time**3 / 3
    assert (np.abs(np.var(walks[:, 1:], axis=0) / expected - 1) < Z * np.sqrt(2 / num)).all()
    stationary = jax.vmap(lambda xi: ornstein_uhlenbeck_process(xi, steps, 0.8, 1.5))(
        jax.random.normal(jax.random.key(4), (num, 5))
    )
    covariance = np.cov(np.asarray(stationary).T)
    lags = np.abs(np.subtract.outer(np.append(0, time), np.append(0, time)))
    assert (np.abs(covariance - 0.64 * np.exp(-lags / 1.5)) < Z * 0.64 * np.sqrt(2 / num)).all()
