"""The particle mesh: plane waves, perturbation theory, convergence, a mesh twice as fine, and jaxpm."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax_cosmo
import numpy as np
import pytest
from jax.experimental.ode import odeint
from jaxpm.pm import lpt, make_ode_fn

from bayesastro.simulators.cosmology import growth, linear_power
from bayesastro.simulators.fields import (
    Bias,
    displacement,
    evolved,
    from_modes,
    galaxy_density,
    regular_grid,
    second_order_source,
    shell_power,
    tidal_field,
)

OMEGA_M, SIGMA8 = 0.31, 0.81
_evolved = jax.jit(evolved, static_argnums=4)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def realised(grid, cut, sigma8=SIGMA8, seed=1):
    """Modes of a linear density today that are longer than one over `cut`."""
    k = np.asarray(grid.mode_length)
    amplitude = np.append(0.0, np.sqrt(linear_power(2 * np.pi * k[1:], sigma8, OMEGA_M) / grid.volume)) * (k < cut)
    return np.random.default_rng(seed).normal(size=grid.shape) * amplitude[grid.mode_index]


@pytest.mark.parametrize("num_steps", [1, 4])
def test_a_plane_wave_keeps_its_velocity_until_it_breaks(num_steps):
    """In one dimension first order is exact; here to nine tenths of the way to the first crossing."""
    grid = regular_grid((16, 4, 4), 5.0)
    grown, wave = growth(0.7, OMEGA_M), 2 * np.pi / 80.0
    start = 5.0 * np.arange(16)[:, None, None] * np.ones(grid.shape) + 1.3
    density = jnp.asarray(0.9 / grown.first * np.cos(wave * start))
    moved, velocity = _evolved(jnp.fft.rfftn(density), OMEGA_M, 0.7, grid, num_steps)
    exact = -0.9 / wave * np.sin(wave * start)
    assert np.abs(moved[0] - exact).max() < 0.02 * np.abs(exact).max()
    assert np.abs(velocity[0] - grown.first_rate * exact).max() < 0.04 * np.abs(exact).max()
    np.testing.assert_allclose(moved[1:], 0.0, atol=1e-10)


def test_one_step_is_second_order_perturbation_theory():
    """Of a density so low that the third order is nothing: displacements and velocities beyond the first order."""
    grid = regular_grid((16, 16, 16), 10.0)
    density_k = from_modes(jnp.asarray(realised(grid, 3.5 / 160.0, sigma8=0.05)))
    grown = growth(0.6, OMEGA_M)
    moved, velocity = _evolved(density_k, OMEGA_M, 0.6, grid, 1)
    source_k = jnp.fft.rfftn(second_order_source(tidal_field(density_k, grid)))
    for axis in range(3):
        first = grown.first * displacement(density_k, grid, axis)
        second = -grown.second * displacement(source_k, grid, axis)
        for found, expected, of_first in (
            (moved, second, 1.0),
            (velocity, grown.second_rate * second, grown.first_rate),
        ):
            error = found[axis] - of_first * first - expected
            assert np.std(error) < 0.02 * of_first * np.std(first)
            assert np.vdot(error + expected, expected) / np.vdot(expected, expected) == pytest.approx(1.0, abs=0.1)


def test_steps_converge():
    """Of waves of eight cells and more; shorter ones grow a little faster or slower on a mesh, from the first step on."""
    grid = regular_grid((16, 16, 16), 10.0)
    density_k = from_modes(jnp.asarray(realised(grid, 2.5 / 160.0)))
    fine = _evolved(density_k, OMEGA_M, 1.0, grid, 32)[0]
    errors = [float(jnp.std(_evolved(density_k, OMEGA_M, 1.0, grid, steps)[0] - fine)) for steps in (1, 2, 4)]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 0.5 * errors[1]
    assert errors[2] < 0.003 * float(jnp.std(fine))


def test_gradient_of_the_density():
    grid = regular_grid((6, 6, 6), 10.0)
    modes, direction = realised(grid, np.inf), np.random.default_rng(3).normal(size=grid.shape) * 0.01
    bias = Bias(1.0, 0.2, -0.2, 0.5)

    @jax.jit
    def total(x):
        density_k = from_modes(jnp.asarray(modes) + x * jnp.asarray(direction))
        return jnp.sum(galaxy_density(density_k, bias, OMEGA_M, 0.5, grid, num_steps=2) ** 2)

    step = 1e-6
    expected = (total(step) - total(-step)) / (2 * step)
    assert float(jax.jit(jax.grad(total))(0.0)) == pytest.approx(float(expected), rel=1e-5)


def lengthened(modes, n):
    """Modes of a mesh among those of one with `n` cells along a side, without the shortest waves."""
    half = min(n, len(modes)) // 2
    waves = np.arange(1 - half, half)
    long = np.zeros((n,) * 3, modes.dtype)
    long[np.ix_(waves, waves, waves)] = modes[np.ix_(waves, waves, waves)]
    return long


SIDE, CELLS = 240.0, 24
COARSE, FINE = (regular_grid((n,) * 3, SIDE / n) for n in (CELLS, 2 * CELLS))
EDGES = 2 * np.pi / SIDE * np.array([0.5, 2.5, 4.5, 6.5])


@functools.partial(jax.jit, static_argnums=2)
def matter(modes: Any, grid: Any, num_steps: int) -> Any:
    return galaxy_density(from_modes(modes), Bias(0.0), OMEGA_M, 0.5, grid, redshift_space=False, num_steps=num_steps)


def compared(field, truth):
    """Power over that of the truth, and correlation with it, in shells of the coarse mesh."""
    field, truth = (jnp.fft.ifftn(lengthened(np.fft.fftn(f), CELLS)).real * CELLS**3 / f.size for f in (field, truth))
    one, two, both = (shell_power(*pair, COARSE, EDGES) for pair in ((field,) * 2, (truth,) * 2, (field, truth)))
    return np.asarray(one / two), np.asarray(both / np.sqrt(one * two))


def test_density_is_that_of_a_finer_mesh():
    """On cells of 10 Mpc/h, with an eighth of the particles; nearer than perturbation theory."""
    modes = lengthened(realised(COARSE, np.inf), CELLS)
    finer = matter(lengthened(modes, 2 * CELLS), FINE, 5)
    power, r = compared(matter(modes, COARSE, 5), finer)
    perturbed, r_perturbed = compared(matter(modes, COARSE, 0), finer)
    assert (np.abs(power - 1) < [0.005, 0.015, 0.03]).all()
    assert (1 - r < [1e-5, 1e-4, 1e-3]).all()
    assert (np.abs(power - 1) < np.abs(perturbed - 1)).all()
    assert (1 - r < 0.1 * (1 - r_perturbed)).all()


def test_beside_the_particles_of_jaxpm():
    """Of a density so low that linear growth is exact; jaxpm paints clouds in cells and takes many steps."""
    modes = realised(COARSE, 2.5 / SIDE, sigma8=0.01)
    universe = jax_cosmo.Cosmology(
        Omega_c=OMEGA_M - 0.049, Omega_b=0.049, Omega_k=0.0, h=0.6766, n_s=0.9665, sigma8=SIGMA8, w0=-1.0, wa=0.0
    )
    early, late = (lpt(universe, COARSE.synthesised(jnp.asarray(modes)), a=a, order=1) for a in (0.05, 0.5))
    ode = make_ode_fn(COARSE.shape, paint_absolute_pos=False)
    path = odeint(lambda state, a: ode(state, a, universe), early[:2], jnp.array([0.05, 0.5]), rtol=1e-3, atol=1e-6)
    moved = jnp.moveaxis(_evolved(from_modes(jnp.asarray(modes)), OMEGA_M, 0.5, COARSE, 5)[0], 0, -1) * CELLS / SIDE
    ours, theirs = (float(jnp.std(found - late[0]) / jnp.std(late[0])) for found in (moved, path[0][-1]))
    assert ours < 0.002
    assert ours < 0.05 * theirs < 0.05 * 0.3
