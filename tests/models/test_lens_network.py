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
from bayesastro.models.lensing.next_transient import next_transient
from bayesastro.simulators.cosmology import Cosmology
from benchmarks import lens_network

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

SETTINGS = dataclasses.replace(lens_network.SETTINGS, num_ensemble=2, max_epochs=8, batch_size=64)


@pytest.fixture(scope="module")
def problem():
    return lens_network.lens_problem()


@pytest.fixture(scope="module")
def network(problem):
    return lens_network.network(problem, 10_000, SETTINGS)


@pytest.fixture(autouse=True)
def data(published_file):
    published_file("lens_euclid_q1/mask_extra_galaxies.fits")


def test_network_has_learnt_the_light_and_states_its_errors(problem, network):
    simulated = problem.simulate(200, key=jax.random.key(11))
    quick = dataclasses.replace(network, num_chains=1, num_draws=200)
    posterior = ba.fit_many(problem, simulated.observables, quick, seed=1, progress=False)["posterior"]
    for name in ("light_magnitude", "light_e1", "light_e2"):
        truth = simulated.parameters[name]
        error = posterior[name].mean(["chain", "draw"]).values - truth
        assert np.std(error) < 0.6 * np.std(truth), name
        assert np.mean(np.abs(error) < 2 * posterior[name].std(["chain", "draw"]).values) > 0.88, name


def test_variance_has_two_parts(problem, network):
    result = ba.fit(problem, network, seed=1, progress=False)
    assert 0 <= result.attrs["epistemic_share"] < 1


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
