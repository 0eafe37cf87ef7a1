"""X-ray programs: densities written by hand, backgrounds sampled and integrated out, calibration, and published spectra."""

import itertools
import json

import jax
import numpy as np
import pytest
from scipy import integrate, stats
from xray_spectra import EDGES, cross_sections, small_spectrum, two_detectors

import bayesastro as ba
from bayesastro.datasets.xray_spectra import read_cross_sections, read_xray_spectrum
from bayesastro.models.spectra import xray
from bayesastro.models.spectra.counted_background import CountsOnBackground, terms_up_to
from bayesastro.models.spectra.xray_background import KNOTS, LENGTH, background_level

LAW = {"nH": 0.15, "powerlaw_photon_index": 1.9, "powerlaw_norm": 3e-4}


def expected(seed=0, *, bodies=False):
    """Counts of the source by quadrature."""
    spectrum, p = small_spectrum(seed), LAW | {"kT": 0.6, "norm": 0.3}

    def photons(e):
        body = 1.0344e-3 * p["norm"] * e**2 / np.expm1(e / p["kT"]) if bodies else 0.0
        return p["powerlaw_norm"] * e ** -p["powerlaw_photon_index"] + body

    bins = [integrate.quad(photons, a, b)[0] for a, b in itertools.pairwise(EDGES)]
    absorbed = np.array(bins) * np.exp(-p["nH"] * cross_sections().binned(EDGES))
    return spectrum.exposure * spectrum.matrix @ absorbed


def small(background, **settings):
    return xray.build(small_spectrum(), cross_sections(), background=background, **settings)


@pytest.fixture(scope="module")
def marginal():
    return small("marginal")


def test_density_without_background():
    problem = small("none", components=("powerlaw", "blackbody"))
    found = problem.log_likelihood(LAW | {"blackbody_kT": 0.6, "blackbody_norm": 0.3})
    wanted = stats.poisson.logpmf(small_spectrum().counts, expected(bodies=True))
    np.testing.assert_allclose(found["counts"], wanted, rtol=1e-7)


def test_densities_with_a_sampled_background():
    spectrum, rates = small_spectrum(), np.linspace(1.0, 40.0, 15)
    problem = small("latent", background_shape=2.0)
    found = problem.log_likelihood(LAW | {"background": rates})
    np.testing.assert_allclose(
        found["counts"], stats.poisson.logpmf(spectrum.counts, expected() + 0.2 * rates), rtol=1e-7
    )
    np.testing.assert_allclose(found["background_counts"], stats.poisson.logpmf(spectrum.background_counts, rates))
    width = spectrum.e_max - spectrum.e_min
    level = spectrum.background_counts.sum() * width / width.sum()
    prior = stats.gamma(2.0, scale=level / 2.0).logpdf(rates)
    np.testing.assert_allclose(problem.log_prior(LAW | {"background": rates})["background"], prior.sum())


def test_priors_are_those_of_jaxspec_unless_given(marginal):
    """Dupourqué et al. 2024: uniform column density and photon index, log-uniform normalisation."""
    found = marginal.log_prior(LAW)
    assert found["nH"] == pytest.approx(0.0)
    assert found["powerlaw_photon_index"] == pytest.approx(-np.log(5.0))
    assert found["powerlaw_norm"] == pytest.approx(stats.loguniform(1e-5, 1e-2).logpdf(3e-4))
    other = small("marginal", priors={"nH": 0.15, "powerlaw_photon_index": ("normal", 2.0, 0.1)})
    assert {site.name for site in other.parameters} == {"powerlaw_photon_index", "powerlaw_norm"}
    given = {name: LAW[name] for name in ("powerlaw_photon_index", "powerlaw_norm")}
    assert other.log_prior(given)["powerlaw_photon_index"] == pytest.approx(stats.norm(2.0, 0.1).logpdf(1.9))
    np.testing.assert_allclose(other.log_likelihood(given)["counts"], marginal.log_likelihood(LAW)["counts"])


def test_integrating_the_background_out_is_exact(marginal):
    """Against quadrature over the rate of the background, in each group."""
    spectrum, mean = small_spectrum(), expected()
    level = background_level(spectrum)
    found = marginal.log_likelihood(LAW)
    joint = []
    for S, B, m, v in zip(spectrum.counts, spectrum.background_counts, mean, level, strict=True):

        def density(b, S=S, B=B, m=m, v=v):
            return stats.expon.pdf(b, scale=v) * stats.poisson.pmf(B, b) * stats.poisson.pmf(S, m + 0.2 * b)

        middle, half = B + 1.0, 12.0 * np.sqrt(B + 1.0)
        joint.append(np.log(integrate.quad(density, max(0, middle - half), middle + half, epsabs=0, limit=200)[0]))
    np.testing.assert_allclose(found["counts"] + found["background_counts"], joint, rtol=1e-6)


def test_the_law_of_counts_on_a_background():
    """Sums to one, has the moments of its draws, and those of its parts."""
    source, shape, rate = np.array([0.01, 3.0, 40.0]), np.array([1.0, 8.0, 30.0]), np.array([0.4, 2.0, 5.0])
    with jax.enable_x64(True):
        law = CountsOnBackground(source, shape, rate, terms_up_to(np.array([80, 60, 60])))
        values = np.arange(200.0)
        mass = np.exp(jax.vmap(law.log_prob)(np.tile(values[:, None], 3)))
        draws = np.asarray(law.sample(jax.random.key(0), (20_000,)))
        mean, variance = np.asarray(law.mean), np.asarray(law.variance)
    np.testing.assert_allclose(mass.sum(0), 1.0, rtol=1e-9)
    np.testing.assert_allclose(values @ mass, mean, rtol=1e-8)
    np.testing.assert_allclose(values**2 @ mass - mean**2, variance, rtol=1e-6)
    np.testing.assert_array_less(np.abs(draws.mean(0) - mean), 5 * np.sqrt(variance / 20_000))
    split = [np.sum(stats.poisson.pmf(7 - k, m) * stats.nbinom.pmf(k, a, c / (c + 1))) for m, a, c in
             zip(source, shape, rate, strict=True) for k in [np.arange(8)]]  # fmt: skip
    np.testing.assert_allclose(mass[7], split, rtol=1e-10)


def test_a_smooth_background_has_the_covariance_of_its_process():
    problem = small("smooth")
    background = problem.static_program.arguments(problem.data.arrays)[0][0][0].background
    covariance = np.asarray(background.design) @ np.asarray(background.design).T
    spectrum = small_spectrum()
    x = np.log(0.5 * (spectrum.e_min + spectrum.e_max))
    r = np.sqrt(3) * np.abs(x[:, None] - x) / LENGTH
    np.testing.assert_allclose(covariance, (1 + r) * np.exp(-r), atol=0.02)
    knots = np.linspace(-1.0, 1.0, KNOTS)
    theta = LAW | {"background_offset": 0.2, "background_spread": 0.7, "background_knots": knots}
    rate = background.level * np.exp(0.2 + 0.7 * background.design @ knots)
    found = problem.log_likelihood(theta)
    np.testing.assert_allclose(
        found["counts"], stats.poisson.logpmf(spectrum.counts, expected() + 0.2 * rate), rtol=1e-7
    )


def test_several_detectors_see_one_source():
    problem = two_detectors()
    names = {
        "cutoff_photon_index": 1.5,
        "cutoff_cutoff": 5.0,
        "cutoff_norm": 1e-5,
        "line_energy": 6.4,
        "line_sigma": 0.05,
    }
    names |= {"line_norm": 1e-8, "line2_energy": 6.7, "line2_sigma": 0.05, "line2_norm": 1e-8, "mos_factor": 1.2}
    theta = LAW | names | {"blackbody_kT": 0.6, "blackbody_norm": 0.3}
    assert {site.name for site in problem.parameters} == set(theta)
    draws = {name: np.full(3, value) for name, value in theta.items()}
    counts = xray.source_counts(problem, draws)
    assert counts["pn_"].shape == (3, 15)
    parts = [xray.source_counts(problem, draws, components=[c])["mos_"] for c in ("powerlaw", "cutoff", "blackbody")]
    np.testing.assert_allclose(counts["mos_"], sum(parts), rtol=2e-3)  # the lines are faint
    both = xray.source_counts(problem, draws, components=["powerlaw", "blackbody"])
    np.testing.assert_allclose(both["pn_"][1], expected(bodies=True), rtol=1e-7)
    once = xray.build(
        small_spectrum(1), cross_sections(), components=("powerlaw", "cutoff", "blackbody", "line", "line")
    )
    found = problem.log_likelihood(theta)
    detached = once.log_likelihood({n: v for n, v in theta.items() if n != "mos_factor"})
    np.testing.assert_allclose(found["mos_background_counts"], detached["background_counts"])
    assert np.abs(found["mos_counts"] - detached["counts"]).max() > 0.1
    same = problem.log_likelihood(theta | {"mos_factor": 1.0})
    np.testing.assert_allclose(same["mos_counts"], detached["counts"], rtol=1e-9)


def test_results_name_the_abundances():
    result = ba.fit(small("none"), ba.NUTS(num_chains=1, num_warmup=10, num_draws=10), seed=1, progress=False)
    settings = json.loads(result.attrs["program_settings"])
    assert (settings["absorption"], settings["abundances"]) == ("test", "none")
    assert settings["priors"]["nH"] == ["uniform", 0.0, 1.0]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"components": "powerlaw"}, "`components` must be a sequence"),
        ({"components": ("apec",)}, "`components` must be a sequence"),
        ({"priors": {"kT": 1.0}}, r"`priors` has \['kT'\], which are no parameters"),
        ({"priors": {"nH": ("gamma", 1.0, 2.0)}}, "prior of `nH` must be a number"),
        ({"background": "subtracted"}, "`background` must be"),
        ({"background_shape": 0.0}, "must be positive"),
    ],
)
def test_bad_settings_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        xray.build(small_spectrum(), cross_sections(), **settings)


def test_a_background_that_is_not_there_is_refused():
    from dataclasses import replace

    alone = replace(small_spectrum(), background_counts=None, background_scale=None)
    assert set(xray.build(alone, cross_sections()).observed) == {"counts"}
    with pytest.raises(ValueError, match="needs a background"):
        xray.build(alone, cross_sections(), background="latent")
    narrow = replace(cross_sections(), energy=np.geomspace(0.5, 20.0, 400))
    with pytest.raises(ValueError, match="narrow the range of energies"):
        xray.build(alone, narrow)


JAXSPEC = {
    "none": {
        "nH": (0.1225, 0.0125),
        "powerlaw_photon_index": (2.068, 0.063),
        "powerlaw_norm": (2.833e-4, 1.6e-5),
        "blackbody_kT": (0.751, 0.030),
        "blackbody_norm": (0.1837, 0.027),
    },
    "marginal": {
        "nH": (0.157, 0.016),
        "powerlaw_photon_index": (2.337, 0.1),
        "powerlaw_norm": (2.941e-4, 1.65e-5),
        "blackbody_kT": (0.7781, 0.025),
        "blackbody_norm": (0.1899, 0.0215),
    },
}
"""jaxspec 0.4.1 (2026-11-22): means and sds of 2,000 draws, of which 442 without background and 859 with one are effective."""

ENGINE = ba.NUTS(num_chains=2, num_warmup=400, num_draws=400, target_accept=0.9, mass_matrix="dense")


@pytest.mark.slow
@pytest.mark.parametrize("background", ["marginal", "smooth"])
def test_backgrounds_are_calibrated(background):
    priors = {"nH": 0.15, "powerlaw_photon_index": ("uniform", 1.0, 3.0), "powerlaw_norm": ("log_uniform", 1e-5, 1e-3)}
    problem = small(background, priors=priors)
    report = ba.calibrate(problem, ENGINE, num_simulations=100, seed=1, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_a_corrected_neural_posterior_is_that_of_nuts(marginal):
    """A network as a proposal: its importance weights use the counts' exact likelihood."""
    priors = {"nH": 0.15, "powerlaw_photon_index": ("uniform", 1.0, 3.0), "powerlaw_norm": ("log_uniform", 1e-4, 1e-3)}
    problem = small("marginal", priors=priors)
    bank = ba.simulate(problem, 20_000, seed=1, progress=False)
    scales = {"counts": "asinh", "background_counts": "asinh"}
    amortised = ba.NPE(hidden=32, max_epochs=40, transforms=scales).train(problem, bank, seed=1, progress=False)
    corrected = ba.fit(problem, ba.Corrected(amortised), seed=2, progress=False)
    exact = ba.fit(problem, ENGINE, seed=3, progress=False)
    assert corrected.attrs["khat"] < 0.7
    for name in ("powerlaw_photon_index", "powerlaw_norm"):
        mine, truth = corrected["posterior"][name], exact["posterior"][name]
        error = 4 * np.hypot(1 / np.sqrt(corrected.attrs["ess"]), 1 / np.sqrt(200))
        assert abs(float(mine.mean() - truth.mean())) < error * float(truth.std())
        assert float(mine.std() / truth.std()) == pytest.approx(1.0, abs=error)


@pytest.mark.slow
def test_3c273_by_poisson_counts(published_file):
    """With the background integrated out the photon index is steeper than by χ² with Gehrels' errors, 2.15 ± 0.08."""
    spectrum = read_xray_spectrum(published_file("xray_3c273_chandra/3c273.pi.gz"), low=0.1, high=6.0, partial=True)
    tables = read_cross_sections(published_file("xray_ngc7793_ulx4_xmm/xsect_wabs_angr.fits.gz"), abundances="angr")
    found = {}
    for background in ("marginal", "latent"):
        problem = xray.build(spectrum, tables, priors={"nH": 0.07}, background=background)
        result = ba.fit(problem, ba.NUTS(num_warmup=600, num_draws=1000), seed=2, progress=False)
        assert float(ba.summary(result)["r_hat"].max()) < 1.01
        found[background] = result["posterior"]
    for name, value, sd in (("powerlaw_photon_index", 2.256, 0.057), ("powerlaw_norm", 2.56e-4, 1.2e-5)):
        for posterior in found.values():
            assert float(posterior[name].mean()) == pytest.approx(value, abs=0.15 * sd)
            assert float(posterior[name].std()) == pytest.approx(sd, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("background", ["none", "marginal"])
def test_ngc7793_has_the_posterior_of_jaxspec(published_file, background):
    """Priors of Dupourqué et al. 2024, 0.3–12 keV; jaxspec samples 110 rates of the background with our prior of them."""
    folder = "xray_ngc7793_ulx4_xmm"
    spectrum = read_xray_spectrum(published_file(f"{folder}/PN_spectrum_grp20.fits.gz"), low=0.3, high=12.0)
    tables = read_cross_sections(published_file(f"{folder}/xsect_tbabs_wilm.fits.gz"), abundances="wilm")
    problem = xray.build(spectrum, tables, components=("powerlaw", "blackbody"), background=background)
    engine = ba.NUTS(num_warmup=800, num_draws=1000, mass_matrix="dense")
    result = ba.fit(problem, engine, seed=1, progress=False)
    assert float(ba.summary(result)["r_hat"].max()) < 1.01
    for name, (mean, sd) in JAXSPEC[background].items():
        assert float(result["posterior"][name].mean()) == pytest.approx(mean, abs=0.15 * sd)
        assert float(result["posterior"][name].std()) == pytest.approx(sd, rel=0.1)
