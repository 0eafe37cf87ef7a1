"""From the linear density to that of galaxies: closed forms, direct sums, jaxpm, and linear theory on large scales."""

import jax
import jax.numpy as jnp
import jax_cosmo
import numpy as np
import pytest
from jaxpm import painting as jaxpm_painting
from jaxpm.pm import lpt
from matrix import Z
from scipy.interpolate import BSpline

from bayesastro.simulators.cosmology import growth, linear_power
from bayesastro.simulators.fields import (
    Bias,
    cloud_window,
    displacement,
    from_modes,
    galaxy_density,
    kaiser_boost,
    lagrangian_weights,
    painted,
    read,
    regular_grid,
    second_order_source,
    shell_power,
    tidal_field,
)

RNG = np.random.default_rng(5)
MATTER = Bias(0.0)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def realised(grid, sigma8=0.81, Omega_m=0.31, *, seed=1, cut=np.inf):
    """A linear density today, its modes beyond `cut` waves per unit of length left out."""
    k = np.asarray(grid.mode_length)
    amplitude = np.append(0.0, np.sqrt(linear_power(2 * np.pi * k[1:], sigma8, Omega_m) / grid.volume)) * (k < cut)
    modes = np.random.default_rng(seed).normal(size=grid.shape) * amplitude[grid.mode_index]
    return grid.synthesised(jnp.asarray(modes)), from_modes(jnp.asarray(modes))


@pytest.mark.parametrize("shape", [(6, 6, 6), (5, 7, 4), (4, 6, 5)])
def test_fourier_coefficients_of_modes(shape):
    grid = regular_grid(shape, 1.0)
    modes = jnp.asarray(RNG.normal(size=shape))
    np.testing.assert_allclose(from_modes(modes), jnp.fft.rfftn(grid.synthesised(modes)), atol=1e-11)


def test_a_plane_wave_is_moved_along_itself_and_first_order_is_all():
    grid = regular_grid((16, 8, 8), (2.0, 3.0, 3.0))
    q, k = 2.0 * np.arange(16)[:, None, None] * np.ones(grid.shape), 2 * np.pi * 2 / 32.0
    density_k = jnp.fft.rfftn(jnp.asarray(0.3 * np.cos(k * q)))
    moved = [displacement(density_k, grid, axis) for axis in range(3)]
    np.testing.assert_allclose(moved[0], -0.3 / k * np.sin(k * q), atol=1e-12)
    np.testing.assert_allclose(moved[1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(second_order_source(tidal_field(density_k, grid)), 0.0, atol=1e-12)


def test_second_order_of_crossed_waves():
    """Of A cos(k x) + B cos(m y) the source is the product of both, and a wave of k² + m²."""
    grid = regular_grid((12, 12, 12), 1.5)
    x, y, _ = 1.5 * np.indices(grid.shape)
    k, m = (2 * np.pi * n / 18.0 for n in (1, 2))
    density_k = jnp.fft.rfftn(jnp.asarray(0.2 * np.cos(k * x) + 0.5 * np.cos(m * y)))
    source = second_order_source(tidal_field(density_k, grid))
    np.testing.assert_allclose(source, 0.1 * np.cos(k * x) * np.cos(m * y), atol=1e-12)
    moved = displacement(-jnp.fft.rfftn(source), grid, 1)  # for D₂ = 1
    expected = 0.1 * m / (k**2 + m**2) * np.cos(k * x) * np.sin(m * y)
    np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_derivatives_are_those_of_a_direct_sum():
    """Of random fields on a mesh of odd sides, wave by wave."""
    shape, distances = (5, 3, 7), (1.0, 2.0, 1.5)
    grid = regular_grid(shape, distances)
    field = RNG.normal(size=shape)
    field -= field.mean()
    k = [2 * np.pi * np.fft.fftfreq(n, d) for n, d in zip(shape, distances, strict=True)]
    waves = np.stack(np.meshgrid(*k, indexing="ij"), -1).reshape(-1, 3)[1:]
    places = np.stack(np.indices(shape), -1).reshape(-1, 3) * distances
    phases = np.exp(1j * places @ waves.T)
    coefficients = phases.conj().T @ field.ravel() / field.size
    square = (waves**2).sum(1)
    density_k = jnp.fft.rfftn(jnp.asarray(field))
    for axis in range(3):
        expected = (phases @ (1j * waves[:, axis] / square * coefficients)).real
        np.testing.assert_allclose(displacement(density_k, grid, axis).ravel(), expected, atol=1e-12)
    for (i, j), found in zip(
        ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), tidal_field(density_k, grid), strict=True
    ):
        expected = (phases @ (waves[:, i] * waves[:, j] / square * coefficients)).real
        np.testing.assert_allclose(found.ravel(), expected, atol=1e-12)


def spline(apart, order):
    """Part of a particle in a cell so far away, by convolving boxes."""
    return BSpline.basis_element(np.arange(order + 1) - order / 2, extrapolate=False)(apart)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_painting_keeps_mass_and_reading_is_its_transpose(order):
    shape = (5, 6, 4)
    positions = tuple(jnp.asarray(RNG.uniform(-20, 20, 300)) for _ in range(3))
    weights, mesh = jnp.asarray(RNG.normal(size=300)), jnp.asarray(RNG.normal(size=shape))
    density = painted(positions, weights, shape, order=order)
    assert float(density.sum()) == pytest.approx(float(weights.sum()))
    assert float(jnp.vdot(density, mesh)) == pytest.approx(float(jnp.vdot(weights, read(mesh, positions, order=order))))
    cells = np.indices(shape)
    parts = []
    for axis, n in enumerate(shape):
        apart = (np.asarray(positions[axis])[:, None, None, None] - cells[axis] + n / 2) % n - n / 2
        parts.append(np.nan_to_num(spline(apart, order)))
    expected = np.einsum("p,pijk->ijk", weights, parts[0] * parts[1] * parts[2])
    np.testing.assert_allclose(density, expected, atol=1e-12)


def test_painting_is_that_of_jaxpm():
    positions = RNG.uniform(0, 8, (8, 8, 8, 3))
    weights = RNG.normal(size=(8, 8, 8))
    theirs = jaxpm_painting.cic_paint(jnp.zeros((8, 8, 8)), jnp.asarray(positions), jnp.asarray(weights))
    ours = painted(tuple(jnp.asarray(p) for p in np.moveaxis(positions, -1, 0)), jnp.asarray(weights), (8, 8, 8))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_gradient_of_painting(order):
    positions, direction = (jnp.asarray(a) for a in (RNG.uniform(0, 6, (3, 50)), RNG.normal(size=(3, 50))))
    mesh = jnp.asarray(RNG.normal(size=(6, 6, 6)))

    def overlap(positions):
        return jnp.vdot(painted(tuple(positions), jnp.ones(50), mesh.shape, order=order), mesh)

    found = jnp.vdot(jax.grad(overlap)(positions), direction)
    step = 1e-7
    expected = (overlap(positions + step * direction) - overlap(positions - step * direction)) / (2 * step)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_wave_loses_what_the_window_says(order):
    """Of particles much finer than the mesh with a wave of weights."""
    grid = regular_grid((8, 8, 8), 1.0)
    fine = np.indices((256, 8, 8)) / np.array([32.0, 1.0, 1.0])[:, None, None, None]
    wave = 2 * np.pi * 3 / 8
    weights = jnp.asarray(1 + 0.1 * np.cos(wave * fine[0])) / 32
    modes = jnp.fft.rfftn(painted(tuple(jnp.asarray(p) for p in fine), weights, grid.shape, order=order)) / 512
    assert float(modes[3, 0, 0].real) == pytest.approx(0.05 * float(cloud_window(grid, order=order)[3, 0, 0]), rel=1e-3)


def test_second_order_displacements_are_those_of_jaxpm():
    """At the same initial modes; its derivatives are differences of fourth order, so of long waves."""
    grid = regular_grid((32, 32, 32), 10.0)
    field, density_k = realised(grid, cut=4 / 320.0)
    universe = jax_cosmo.Cosmology(
        Omega_c=0.261, Omega_b=0.049, Omega_k=0.0, h=0.6766, n_s=0.9665, sigma8=0.81, w0=-1.0, wa=0.0
    )
    moved = {order: np.asarray(lpt(universe, field, a=0.5, order=order)[0]) for order in (1, 2)}
    grown = growth(0.5, 0.31)
    source_k = jnp.fft.rfftn(second_order_source(tidal_field(density_k, grid)))
    for axis in range(3):
        first = grown.first * displacement(density_k, grid, axis) / 10.0
        second = -grown.second * displacement(source_k, grid, axis) / 10.0
        for ours, theirs, tolerance in ((first, moved[1], 0.01), (second, moved[2] - moved[1], 0.03)):
            error = np.asarray(ours) - theirs[..., axis]
            assert np.std(error) < tolerance * np.std(ours)


def test_weights_of_a_plane_wave():
    """Its shear is a stretch along the wave and half as much across: s² = 2/3 δ²."""
    grid = regular_grid((16, 8, 8), 2.0)
    k = 2 * np.pi / 32.0
    density = 0.1 * np.cos(k * 2.0 * np.arange(16))[:, None, None] * np.ones(grid.shape)
    density_k = jnp.fft.rfftn(jnp.asarray(density))
    bias = Bias(0.7, 1.5, -0.4, 3.0)
    found = lagrangian_weights(density_k, tidal_field(density_k, grid), bias, grid)
    squared = density**2 - np.mean(density**2)
    expected = 1 + 0.7 * density + (1.5 - 0.4 * 2 / 3) * squared - 3.0 * k**2 * density
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_realisation_has_the_power_of_theory():
    grid = regular_grid((16, 16, 16), 20.0)
    edges = np.linspace(0.02, 0.16, 8)
    spectra = np.array([shell_power(f, f, grid, edges) for f in (realised(grid, seed=s)[0] for s in range(20))])
    k = 2 * np.pi * np.asarray(grid.mode_length)[grid.mode_index].ravel()
    theory = np.append(0.0, linear_power(2 * np.pi * grid.mode_length[1:], 0.81, 0.31))[grid.mode_index].ravel()
    shell = np.digitize(k, edges) - 1
    for s, found in enumerate(spectra.mean(0)):
        each = theory[shell == s]
        error = np.sqrt(2 * np.sum(each**2)) / each.size / np.sqrt(20)
        assert abs(found - each.mean()) < Z * error


@pytest.mark.parametrize("redshift_space", [False, True])
def test_large_scales_are_those_of_linear_theory(redshift_space):
    """The part of the density that is in phase with the linear one is Kaiser's, mode by mode; in real space its power is
    that of linear theory times the growth squared."""
    grid = regular_grid((32, 32, 32), 30.0)
    field, density_k = realised(grid)
    bias = Bias(0.8)
    found = galaxy_density(density_k, bias, 0.31, 0.5, grid, redshift_space=redshift_space)
    boost = kaiser_boost(bias, 0.31, 0.5, grid, redshift_space=redshift_space)
    linear = grid.synthesised(boost * grid.synthesised(field) / field.size)
    edges = np.array([0.005, 0.03])
    in_phase = float(shell_power(found, linear, grid, edges)[0] / shell_power(linear, linear, grid, edges)[0])
    assert in_phase == pytest.approx(1.0, abs=0.03)
    power = float(shell_power(found, found, grid, edges)[0] / shell_power(linear, linear, grid, edges)[0])
    assert power == pytest.approx(1.0, abs=0.06)
    assert float(jnp.mean(found)) == pytest.approx(1.0, abs=1e-12)


def test_gradients_of_the_density():
    grid = regular_grid((6, 6, 6), 20.0)
    _, density_k = realised(grid)
    target = jnp.asarray(RNG.normal(size=grid.shape))

    def overlap(amplitude, Omega_m, b1, b2, bs2, bn2):
        bias = Bias(b1, b2, bs2, bn2)
        density = galaxy_density(amplitude * density_k, bias, Omega_m, 0.5, grid)
        return jnp.vdot(density, target)

    overlap = jax.jit(overlap)
    at = np.array([1.0, 0.3, 0.8, 0.2, -0.3, 0.5])
    gradient = jax.jit(jax.grad(overlap, argnums=tuple(range(6))))(*at)
    for place, found in enumerate(gradient):
        step = 1e-7 * np.eye(6)[place]
        expected = (overlap(*(at + step)) - overlap(*(at - step))) / 2e-7
        assert float(found) == pytest.approx(float(expected), rel=1e-5, abs=1e-5)
