"""Formulae of transients: values by hand, limits, and gradients far from the event."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesastro.simulators.lightcurves.transients import bazin, supernova

TIME = np.linspace(-60.0, 150.0, 211)


def test_bazin_by_hand():
    with jax.enable_x64(True):
        found = np.asarray(bazin(TIME, 3.0, 5.0, 4.0, 25.0))
    phase = TIME - 5.0
    np.testing.assert_allclose(found, 3.0 * np.exp(-phase / 25.0) / (1 + np.exp(-phase / 4.0)), rtol=1e-12)
    assert TIME[found.argmax()] == pytest.approx(5.0 + 4.0 * np.log(25.0 / 4.0 - 1), abs=0.6)


def test_supernova_by_hand():
    """The published formula where it does not overflow; before the plateau's end its exponent is held at zero."""
    A, t0, gamma, beta, rise, fall = 2.0, 3.0, 20.0, 0.4, 4.0, 30.0
    with jax.enable_x64(True):
        found = np.asarray(supernova(TIME, A, t0, gamma, beta, rise, fall))
    phase, late = TIME - t0, TIME - t0 - gamma
    s = 1 / (1 + np.exp(-late / 3.0))
    decline = (1 - beta) * np.exp(-np.maximum(late, 0) / fall) * s
    expected = A / (1 + np.exp(-phase / rise)) * (decline + (1 - beta * phase / gamma) * (1 - s))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    published = (
        A / (1 + np.exp(-phase / rise)) * ((1 - beta) * np.exp(-late / fall) * s + (1 - beta * phase / gamma) * (1 - s))
    )
    after = late > 0
    np.testing.assert_allclose(found[after], published[after], rtol=1e-12)


@pytest.mark.parametrize("time", [-1e4, -300.0, 0.0, 300.0, 1e4])
@pytest.mark.parametrize("scales", [(0.5, 0.5), (50.0, 200.0)])
def test_far_from_the_event_all_is_finite(time, scales):
    rise, fall = scales

    def flux(theta):
        return jnp.stack([bazin(time, theta[0], theta[1], theta[4], theta[5]), supernova(time, *theta)])

    with jax.enable_x64(True):
        theta = jnp.array([1.0, 0.0, 10.0, 0.3, rise, 2.5 * fall])
        value, slopes = flux(theta), jax.jacobian(flux)(theta)
        assert np.isfinite(np.asarray(value)).all()
        assert np.isfinite(np.asarray(slopes)).all()
        if abs(time) > 1e3:
            np.testing.assert_allclose(value, 0.0, atol=1e-6)
