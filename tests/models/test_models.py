"""Every model's program: its density at fixed points against a hand-written one, and a sane prior predictive."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy import units
from astropy.cosmology import FlatLambdaCDM, Flatw0waCDM
from matrix import MODELS
from scipy import stats

import bayesastro as ba
from bayesastro.datasets import cosmic_chronometers, desi_dr2_bao
from bayesastro.models.cosmology import bao, expansion
from bayesastro.plots import axis_label


@pytest.mark.parametrize("name", MODELS)
def test_prior_predictive_is_finite_of_the_size_of_the_data_and_can_be_looked_at(name):
    problem = MODELS[name]()
    predicted = ba.predict(problem, num=200, seed=1)
    for site, value in problem.observed.items():
        simulated = predicted["prior_predictive"][site].values[0]
        assert simulated.shape == (200, *value.shape)
        assert np.isfinite(simulated).all()
        # The data lie within what the program generates; at its edge where nothing was detected.
        assert np.all((simulated.min(0) <= value) & (value <= simulated.max(0)))
    plt.switch_backend("Agg")
    figure = ba.plot.predictive(predicted)
    figure.canvas.draw()
    assert {axis_label(site) for site in problem.observed} <= {
        axis.get_ylabel().partition("[")[0].strip() for axis in figure.axes
    }
    plt.close(figure)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_is_finite_at_prior_draws(name):
    problem = MODELS[name]()
    if "density" in problem.lacks:
        pytest.skip("a program without a density")
    chart = problem.unconstrained
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(2), 50)
        z = jax.jit(jax.vmap(chart.draw_prior, in_axes=(0, None)))(keys, problem.data)
        gradient = jax.jit(jax.vmap(jax.grad(chart.log_density), in_axes=(0, None)))(z, problem.data)
        assert np.isfinite(np.asarray(gradient)).all()


def bao_by_hand(cosmology, r_d):
    table = desi_dr2_bao()
    D_M = cosmology.comoving_transverse_distance(table.z).to_value(units.Mpc)
    D_H = 299792.458 / cosmology.H(table.z).to_value(units.km / units.s / units.Mpc)
    ratios = np.choose(table.kind, [(table.z * D_M**2 * D_H) ** (1 / 3), D_M, D_H]) / r_d
    return stats.multivariate_normal(ratios, table.covariance).logpdf(table.value)


@pytest.mark.parametrize(("Omega_m", "hrd"), [(0.3, 101.5), (0.2, 95.0), (0.6, 120.0)])
def test_bao_density(Omega_m, hrd):
    theta = {"Omega_m": Omega_m, "hrd": hrd}
    problem = bao.build()
    expected = bao_by_hand(FlatLambdaCDM(H0=100.0, Om0=Omega_m, Tcmb0=0), hrd)
    assert problem.log_likelihood(theta)["bao"] == pytest.approx(expected, rel=1e-9)
    assert sum(problem.log_prior(theta).values()) == pytest.approx(-np.log(0.98) - np.log(990))


@pytest.mark.parametrize(("w0", "w_early"), [(-1.0, -1.0), (-0.5, -2.0)])
def test_expansion_density(w0, w_early):
    theta = {"Omega_m": 0.31, "H0": 68.0, "hrd": 100.0, "w0": w0, "w_early": w_early}
    problem = expansion.build("w0wa")
    cosmology = Flatw0waCDM(H0=68.0, Om0=0.31, w0=w0, wa=w_early - w0, Tcmb0=0)
    clocks = cosmic_chronometers()
    H = cosmology.H(clocks.z).to_value(units.km / units.s / units.Mpc)
    likelihood = problem.log_likelihood(theta)
    assert likelihood["bao"] == pytest.approx(bao_by_hand(cosmology, 100.0 / 0.68), rel=1e-9)
    assert likelihood["H"] == pytest.approx(stats.multivariate_normal(H, clocks.covariance).logpdf(clocks.H), rel=1e-9)
    assert problem.replay(theta)["wa"] == pytest.approx(w_early - w0)


def test_the_cosmological_constant_is_nested_in_w0wa():
    theta = {"Omega_m": 0.29, "H0": 70.0, "hrd": 102.0}
    wider = expansion.build("w0wa").log_likelihood(theta | {"w0": -1.0, "w_early": -1.0})
    narrower = expansion.build("lambda").log_likelihood(theta)
    for site in ("bao", "H"):
        assert wider[site] == pytest.approx(narrower[site], rel=1e-12)


def test_dark_energy_must_be_known():
    with pytest.raises(ValueError, match="`dark_energy` must be"):
        expansion.build("quintessence")


def test_bao_alone_gives_the_published_parameters():
    """DESI Collaboration 2025, arXiv:2503.14738, table 5: Ω_m = 0.2975 ± 0.0086, h·r_d = 101.54 ± 0.73 Mpc."""
    result = ba.fit(bao.build(), ba.NUTS(num_warmup=500, num_draws=1500), seed=3, progress=False)
    posterior = result["posterior"]
    assert float(posterior["Omega_m"].mean()) == pytest.approx(0.298, abs=0.0015)
    assert float(posterior["Omega_m"].std()) == pytest.approx(0.0086, abs=0.0008)
    assert float(posterior["hrd"].mean()) == pytest.approx(101.5, abs=0.12)
    assert float(posterior["hrd"].std()) == pytest.approx(0.73, abs=0.06)
    assert not ba.diagnose(result)
