"""A network for Euclid-like lenses, and NUTS on a small one. Slow tests.

They train a small network in some minutes, unless the environment variable LENS_NETWORK names a folder with one.
"""

import dataclasses

import jax
import numpy as np
import pytest
from euclid_images import EXPOSURE, SKY_NOISE, TRUTH, small_euclid

import bayesastro as ba
from bayesastro.models.lensing import euclid
from bayesastro.models.lensing.examples import euclid_lens
from bayesastro.models.lensing.next_transient import next_transient
from bayesastro.simulators.cosmology import Cosmology
from benchmarks import lens_network

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

SETTINGS = dataclasses.replace(lens_network.SETTINGS, regression_epochs=4, max_epochs=5)

ERRORS = {"theta_E": 0.65, "source_x": 0.65, "light_magnitude": 0.5, "light_e1": 0.5, "light_e2": 0.5, "lens_x": 0.5}
"""Largest rms errors, in units of the prior's standard deviation."""


@pytest.fixture(scope="module")
def problem(published_data):
    published_data("euclid_lens")
    return euclid_lens()


@pytest.fixture(scope="module")
def network(problem):
    return lens_network.network(problem, 10_000, SETTINGS)


@pytest.fixture(scope="module")
def simulated(problem):
    return problem.simulate(300, key=jax.random.key(11))


def test_network_has_learnt_the_lens_and_states_its_errors(problem, network, simulated):
    quick = dataclasses.replace(network, num_chains=1, num_draws=200)
    posterior = ba.fit_many(problem, simulated.observables, quick, seed=1, progress=False)["posterior"]
    for name, largest in ERRORS.items():
        truth = simulated.parameters[name]
        drawn = posterior[name].values[:, 0]
        error = drawn.mean(1) - truth
        assert np.sqrt(np.mean(error**2)) < largest * np.std(truth), name
        # Within 4.5 of its Monte Carlo errors, beside what so few simulations leave of overconfidence.
        assert np.mean(np.abs(error) < 2 * drawn.std(1)) > 0.954 - 4.5 * np.sqrt(0.954 * 0.046 / 300) - 0.03, name


def test_clear_rings_are_measured_better(problem, network, simulated):
    """Of bright sources; a network that only knows the prior has the same error for all."""
    quick = dataclasses.replace(network, num_chains=1, num_draws=200)
    drawn = ba.fit_many(problem, simulated.observables, quick, seed=1, progress=False)["posterior"]["theta_E"].values[
        :, 0
    ]
    bright = simulated.parameters["source_magnitude"] < np.median(simulated.parameters["source_magnitude"])
    error = np.abs(drawn.mean(1) - simulated.parameters["theta_E"])
    assert np.median(error[bright]) < 0.75 * np.median(error[~bright])
    assert np.median(drawn[bright].std(1)) < 0.75 * np.median(drawn[~bright].std(1))


def test_variance_has_two_parts(problem, network, simulated):
    parts = network.variances(problem, {"image": simulated.observables["image"][:50]}, seed=1)["theta_E"]
    share = float(parts.sel(part="epistemic").sum() / parts.sum())
    assert 0 < share < 0.5
    assert 0 <= ba.fit(problem, network, seed=1, progress=False).attrs["epistemic_share"] < 1


def test_coverage_is_near_what_it_should_be(problem, network):
    """Of a network from few simulations, to some hundredths beside 4.5 Monte Carlo errors."""
    engine = dataclasses.replace(network, num_chains=1)
    found = ba.calibrate(problem, engine, num_simulations=300, seed=3, progress=False).summary()
    for level in (0.5, 0.95):
        covered = found.loc[list(ERRORS), f"coverage_{100 * level:.0f}"]
        assert (abs(covered - level) < 4.5 * np.sqrt(level * (1 - level) / 300) + 0.03).all(), covered


def test_nuts_finds_a_small_lens_and_its_next_transient():
    problem = small_euclid()
    clean = problem.observed["image"]
    noise = np.sqrt(SKY_NOISE**2 + np.maximum(clean, 0) / EXPOSURE) * np.random.default_rng(3).normal(size=clean.shape)
    engine = ba.NUTS(num_chains=2, num_warmup=500, num_draws=400, num_starts=400, mass_matrix="dense")
    result = ba.fit(problem.replace(observed={"image": clean + noise}), engine, seed=1, progress=False)
    assert float(ba.summary(result)["r_hat"].max()) < 1.05
    for name, value in TRUTH.items():
        found = result["posterior"][name]
        assert abs(float(found.mean()) - value) < 4.5 * float(found.std()), name
    draws = {name: values.values.ravel()[::20] for name, values in result["posterior"].items()}
    truth = {name: np.atleast_1d(value) for name, value in TRUTH.items()}
    images, right = (
        next_transient(d, euclid.lens_of, 0.4, 1.5, Cosmology(H0=70.0, Omega_m=0.3)) for d in (draws, truth)
    )
    assert np.all(images.is_image.sum(1) == right.is_image.sum())
    seen = right.is_image[0]
    for field in ("x", "y", "delay"):
        drawn, value = getattr(images, field)[:, seen], getattr(right, field)[0, seen]
        assert np.all(np.abs(drawn.mean(0) - value) < 4.5 * drawn.std(0) + 1e-9), field
