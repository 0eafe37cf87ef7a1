"""A network for Euclid-like lenses: calibrated, and in agreement with the exact posterior. Slow tests.

They train a small network in some ten minutes, unless the environment variable LENS_NETWORK names a folder with one.
"""

import dataclasses

import jax
import numpy as np
import pytest

import bayesastro as ba
from bayesastro.models.lensing import euclid
from bayesastro.models.lensing.next_transient import next_transient
from bayesastro.simulators.cosmology import Cosmology
from benchmarks import lens_network

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def problem():
    return lens_network.lens_problem()


@pytest.fixture(scope="module")
def network(problem):
    settings = dataclasses.replace(lens_network.SETTINGS, num_ensemble=2)
    return lens_network.network(problem, 10_000, settings)


@pytest.fixture(autouse=True)
def data(published_file):
    published_file("lens_euclid_q1/mask_extra_galaxies.fits")


def test_network_is_calibrated(problem, network):
    report = ba.calibrate(problem, network, num_simulations=300, seed=4, progress=False, false_alarm=0.001)
    assert report.verdict == "pass", str(report)


def test_network_has_learnt(problem, network):
    """Its errors are those it states, and half of the prior's or less, for what an image shows best."""
    simulated = problem.simulate(200, key=jax.random.key(11))
    quick = dataclasses.replace(network, num_chains=1, num_draws=200)
    posterior = ba.fit_many(problem, simulated.observables, quick, seed=1, progress=False)["posterior"]
    for name in ("theta_E", "light_magnitude", "light_R", "source_x", "source_y"):
        truth = simulated.parameters[name]
        error = posterior[name].mean(["chain", "draw"]).values - truth
        assert np.std(error) < 0.5 * np.std(truth), name
        assert np.mean(np.abs(error) < 2 * posterior[name].std(["chain", "draw"]).values) > 0.88, name


def test_variance_has_two_parts(problem, network):
    result = ba.fit(problem, network, seed=1, progress=False)
    assert 0 <= result.attrs["epistemic_share"] < 1


@pytest.mark.parametrize("which", ["simulated", "real"])
def test_nuts_and_network_agree(problem, network, which):
    """NUTS from the network's draws; where it ends lies within what the network said, and the truth within NUTS."""
    simulated = problem.simulate(1, key=jax.random.key(7))
    truth = {name: values[0] for name, values in simulated.parameters.items()}
    one = problem if which == "real" else problem.replace(observed={"image": simulated.observables["image"][0]})
    fast = ba.fit(one, network, seed=1, progress=False)
    exact = ba.fit(one, lens_network.NUTS_ENGINE, start=fast, seed=2, progress=False)
    assert float(ba.summary(exact)["r_hat"].max()) < 1.02
    for name in lens_network.LENS_PARAMETERS:
        found, said = exact["posterior"][name], fast["posterior"][name]
        assert abs(float(found.mean() - said.mean())) < 4 * float(said.std()), name
        if which == "simulated":
            assert abs(float(found.mean()) - float(truth[name])) < 4 * float(found.std()), name
    draws = {name: values.values.reshape(-1, *values.shape[2:])[::20] for name, values in exact["posterior"].items()}
    images = next_transient(draws, euclid.lens_of, 0.4, 1.5, Cosmology(H0=70.0, Omega_m=0.3))
    assert np.all(images.is_image.sum(1) >= 1)
    assert np.nanmax(images.delay) < 400
