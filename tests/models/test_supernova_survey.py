"""The survey of supernovae: its density by hand, its simulations against explosions one by one, and what is learnt of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import supernovae
from astropy.cosmology import FlatwCDM
from numpyro import handlers
from scipy import stats
from scipy.integrate import quad

import bayesastro as ba
from bayesastro.models.cosmology import supernova_summaries, supernova_survey
from bayesastro.models.cosmology.selection import Tabulated

SURVEY, TRUTH = supernova_survey.Survey(), supernovae.LATENT_TRUTH
OTHER = TRUTH | {"Omega_m": 0.5, "w0": -1.4, "M": -19.3, "beta": 2.5, "x1_mean": 0.3, "c_mean": -0.03, "followed": 0.6}


@pytest.fixture(scope="module")
def catalogue():
    heavy = np.arange(100) % 3 == 0
    return supernovae.catalogue(100, survey=SURVEY, mass_step=-0.1, is_heavy=heavy), heavy


def moments_by_hand(z, theta, heavy):
    """Mean magnitude, stretch and colour at a redshift, and their covariance."""
    t = theta
    modulus = FlatwCDM(H0=70.0, Om0=t["Omega_m"], w0=t["w0"], Tcmb0=0).distmod(z).value
    m = modulus + t["M"] + t.get("mass_step", 0.0) * heavy - t["alpha"] * t["x1_mean"] + t["beta"] * t["c_mean"]
    mixing = np.array([[1, -t["alpha"], t["beta"]], [0, 1, 0], [0, 0, 1]]) * [t["scatter"], t["x1_sd"], t["c_sd"]]
    return np.array([m, t["x1_mean"], t["c_mean"]]), SURVEY.covariance + mixing @ mixing.T


@pytest.mark.parametrize("theta", [TRUTH, OTHER])
@pytest.mark.parametrize("mass_step", [0.0, -0.1])
def test_density_of_a_catalogue(catalogue, theta, mass_step):
    """Of each explosion: found at z with these values, or not found wherever it was."""
    values, heavy = catalogue
    theta = theta | ({"mass_step": mass_step} if mass_step else {})
    problem = supernova_survey.build(values, SURVEY, is_heavy=heavy, mass_step=bool(mass_step))
    found = sum(float(v.sum()) for v in problem.log_likelihood(theta).values())

    def rate(z):
        return np.interp(z, SURVEY.redshift, SURVEY.rate)

    def seen(z, kind):
        mean, covariance = moments_by_hand(z, theta, kind)
        return rate(z) * stats.norm.cdf((SURVEY.limit - mean[0]) / np.hypot(covariance[0, 0] ** 0.5, SURVEY.softness))

    ends = SURVEY.redshift[0], SURVEY.redshift[-1]
    total = quad(rate, *ends)[0]
    lost = [np.log1p(-theta["followed"] * quad(seen, *ends, args=(kind,), epsrel=1e-6)[0] / total) for kind in (0, 1)]
    expected = 0.0
    for is_found, z, fit, kind in zip(values["found"], values["redshift"], values["fit"], heavy, strict=True):
        if not is_found:
            expected += lost[int(kind)]
            continue
        mean, covariance = moments_by_hand(z, theta, kind)
        m = fit + np.array([supernovae.COSMOLOGY.distmod(z).value - 19.1, 0.0, 0.0])
        expected += np.log(theta["followed"] * rate(z) / total) + stats.multivariate_normal(mean, covariance).logpdf(m)
        expected += stats.norm.logcdf((SURVEY.limit - m[0]) / SURVEY.softness)
    assert found == pytest.approx(expected, abs=2e-3)  # the law of redshifts is tabulated


def test_the_program_finds_what_explosions_one_by_one_give():
    n = 40_000
    values = supernovae.catalogue(n, survey=SURVEY, seed=3)
    arguments = (np.zeros(n, bool), SURVEY.redshift, SURVEY.rate, SURVEY.limit, SURVEY.softness, SURVEY.covariance)
    with jax.enable_x64(True):
        run = handlers.seed(handlers.substitute(supernova_survey.program, data=TRUTH), 1)
        sites = handlers.trace(run).get_trace(*map(jnp.asarray, arguments))
        drawn = {name: np.asarray(sites[name]["value"]) for name in values}
    kept = [sample["found"] > 0 for sample in (drawn, values)]
    p, q = (k.mean() for k in kept)
    assert abs(p - q) < 4.5 * np.sqrt(2 * q * (1 - q) / n)
    z, other_z = (sample["redshift"][k] for sample, k in zip((drawn, values), kept, strict=True))
    fit, other_fit = (sample["fit"][k] for sample, k in zip((drawn, values), kept, strict=True))
    pairs = [(z, other_z), *zip(fit.T, other_fit.T, strict=True)]
    pairs += [(fit[:, i] * fit[:, j], other_fit[:, i] * other_fit[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    pairs += [(fit[:, i] * z, other_fit[:, i] * other_z) for i in range(3)]
    assert min(stats.ks_2samp(*pair).pvalue for pair in pairs) > 1e-4
    assert (drawn["fit"][~kept[0]] == 0).all()


def test_tabulated_density_is_normalised_and_drawn():
    density = np.array([[0.0, 1.0, 3.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    with jax.enable_x64(True):
        law = Tabulated(jnp.linspace(1.0, 2.5, 4), jnp.asarray(density), jnp.array([0, 1]))
        grid = np.linspace(1.0, 2.5, 30_001)
        p = np.exp(jax.vmap(law.log_prob)(jnp.asarray(np.stack([grid, grid], 1))))
        draws = np.asarray(law.sample(jax.random.key(1), (20_000,)))
    np.testing.assert_allclose(np.trapezoid(p, grid, axis=0), 1.0, atol=1e-6)
    for i in range(2):
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (p[1:, i] + p[:-1, i]) * np.diff(grid))])
        assert stats.kstest(draws[:, i], lambda x, c=cumulative: np.interp(x, grid, c)).pvalue > 1e-4


def test_summaries_are_of_the_same_process():
    """The summary of a catalogue is one of those that the program draws at its parameters."""
    size, num_bins = 4000, 6
    found = supernova_summaries.summary(supernovae.catalogue(size, survey=SURVEY, seed=5), SURVEY, num_bins)
    problem = supernova_summaries.build(found, size, SURVEY)
    within = {name: (value - 1e-6, value + 1e-6) for name, value in TRUTH.items()}
    _, rows = ba.simulate(problem, 64, seed=1, within=within, progress=False, chunk=16).rows(slice(None))
    drawn = rows["summary"][:, :4]  # bins where many are found
    residual = (found[:4] - drawn.mean(0)) / drawn.std(0, ddof=1) / np.sqrt(1 + 1 / 64)
    assert np.abs(residual).max() < 4.5
    assert np.sqrt((residual**2).mean()) == pytest.approx(1.0, abs=0.4)


def test_nothing_but_simulations_is_asked_of_summaries():
    table = supernova_summaries.build(np.zeros((4, 10)), 1000, SURVEY).check()
    assert table.loc["TMNRE", "ok"]
    assert not table.loc["NUTS", "ok"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"redshift": np.array([0.1, 0.2, 0.5])}, "evenly spaced"),
        ({"rate": np.ones(3)}, "`rate` must be a number of at least 0 for each of 513"),
        ({"softness": 0.0}, "`softness` must be above 0"),
        ({"covariance": -np.eye(3)}, "positive definite matrix of shape"),
    ],
)
def test_surveys_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SURVEY, **change)


def test_catalogues_are_checked(catalogue):
    values, _ = catalogue
    with pytest.raises(ValueError, match=r"but \{'found': \(100,\), 'redshift': \(100,\)\} came"):
        supernova_survey.build({name: values[name] for name in ("found", "redshift")}, SURVEY)
    with pytest.raises(ValueError, match=r"within the survey's, from 0\.03 to 0\.9"):
        supernova_survey.build(values | {"redshift": values["redshift"] + 0.8}, SURVEY)
    with pytest.raises(ValueError, match=r"`is_heavy` must have shape \(100,\)"):
        supernova_survey.build(values, SURVEY, is_heavy=np.zeros(3))
    with pytest.raises(ValueError, match="`size` must be at most 1000 or a multiple of it"):
        supernova_summaries.build(np.zeros((4, 10)), 1500, SURVEY)
    with pytest.raises(ValueError, match=r"`observed` must have shape \(bin, 10\)"):
        supernova_summaries.build(np.zeros((4, 3)), 1000, SURVEY)
