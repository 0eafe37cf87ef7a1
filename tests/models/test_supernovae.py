"""Supernova cosmology: densities against hand-written ones, the published numbers, and surveys with a limit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import supernovae
from scipy import stats
from scipy.integrate import quad

import bayesastro as ba
from bayesastro.datasets import read_jla, read_jla_binned, read_pantheon_binned, read_union3
from bayesastro.models.cosmology import hubble_diagram, tripp
from bayesastro.models.cosmology.selection import DetectedNormal

THETA = {
    "Omega_m": 0.3,
    "M": -19.05,
    "alpha": 0.14,
    "beta": 3.0,
    "scatter": 0.12,
    "x1_mean": 0.1,
    "x1_sd": 0.95,
    "c_mean": -0.02,
    "c_sd": 0.08,
    "mass_step": -0.05,
}


@pytest.fixture(scope="module")
def table():
    return supernovae.table()


def expected_of(table):
    """Means and covariances of what is observed."""
    t = THETA
    modulus = supernovae.COSMOLOGY.distmod(table.z_cmb).value + 5 * np.log10((1 + table.z_hel) / (1 + table.z_cmb))
    m = modulus + t["M"] + t["mass_step"] * (table.host_mass > 10) - t["alpha"] * t["x1_mean"] + t["beta"] * t["c_mean"]
    mixing = np.array([[1, -t["alpha"], t["beta"]], [0, 1, 0], [0, 0, 1]]) * [t["scatter"], t["x1_sd"], t["c_sd"]]
    mean = np.stack([m, np.full_like(m, t["x1_mean"]), np.full_like(m, t["c_mean"])], axis=1)
    return mean, table.covariance + mixing @ mixing.T


def test_density_of_marginalised_supernovae(table):
    found = tripp.build(table).log_likelihood(THETA)["fit"]
    expected = [
        stats.multivariate_normal(*law).logpdf(d) for *law, d in zip(*expected_of(table), table.fit, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_sampled_latents_integrate_to_the_marginalised_density(table):
    """Given all else, the latents are normal: Laplace's formula at their mode is exact."""
    problem = tripp.build(table, latents="sampled")
    names, n = ("m", "x1", "c"), len(table.name)

    def joint(latents):
        theta = THETA | dict(zip(names, latents.reshape(3, n), strict=True))
        prior, likelihood = problem.log_prior(theta), problem.log_likelihood(theta)
        return float(sum(prior[name].sum() for name in names) + likelihood["fit"].sum())

    # A quadratic function of each supernova's three latents: found from its values, all supernovae at once.
    chart, data = problem.unconstrained, problem.data
    with jax.enable_x64(True):
        start = jnp.asarray(table.fit.T.reshape(-1))

        def density(latents):
            theta = THETA | dict(zip(names, latents.reshape(3, n), strict=True))
            z = chart.to_coordinates({k: jnp.asarray(v) for k, v in theta.items()}, data)
            return chart.log_density(z, data)

        gradient, hessian = jax.jit(jax.grad(density))(start), jax.jit(jax.hessian(density))(start)
        mode = np.asarray(start - jnp.linalg.solve(hessian, gradient))
        volume = 0.5 * 3 * n * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(-np.asarray(hessian))[1]
    marginal = tripp.build(table).log_likelihood(THETA)["fit"].sum()
    assert joint(mode) + volume == pytest.approx(float(marginal), rel=1e-9)


def test_density_under_selection(table):
    limit, softness = np.array([24.0, 22.5]), 0.2
    problem = tripp.build(table, limit=limit, softness=softness)
    found = problem.log_likelihood(THETA)["fit"]
    edge = limit[table.survey]
    for i, (mean, covariance) in enumerate(zip(*expected_of(table), strict=True)):
        free = stats.multivariate_normal(mean, covariance).logpdf(table.fit[i])
        seen = stats.norm.logcdf((edge[i] - table.fit[i, 0]) / softness)
        all_seen = stats.norm.logcdf((edge[i] - mean[0]) / np.sqrt(covariance[0, 0] + softness**2))
        assert found[i] == pytest.approx(free + seen - all_seen, abs=1e-8)


@pytest.mark.parametrize("limit", [26.0, 23.0, 20.5])
def test_what_a_survey_finds_is_drawn_as_its_density_says(limit):
    """From all found to one in 10⁵: magnitudes against the integral of their density, colours by their mean given these."""
    loc, covariance, softness = np.array([23.0, 0.0]), np.array([[0.3, 0.05], [0.05, 0.02]]), 0.25
    with jax.enable_x64(True):
        law = DetectedNormal(loc, covariance, jnp.asarray(limit), jnp.asarray(softness))
        draws = np.asarray(law.sample(jax.random.key(1), (20_000,)))
        magnitude = draws[:, 0]

        def density(m):
            seen = stats.norm.logcdf((limit - m) / softness) - stats.norm.logcdf(
                (limit - 23) / np.hypot(0.3**0.5, softness)
            )
            return np.exp(stats.norm(23.0, 0.3**0.5).logpdf(m) + seen)

        at = np.quantile(magnitude, [0.05, 0.3, 0.5, 0.7, 0.95])
        cdf = [quad(density, 15.0, m, points=[min(limit, m), m - 0.5])[0] for m in at]
        error = np.sqrt(np.array(cdf) * (1 - np.array(cdf)) / len(draws))
        assert (np.abs(np.array([0.05, 0.3, 0.5, 0.7, 0.95]) - cdf) < 4.5 * error).all()
        one = float(np.exp(law.log_prob(jnp.array([22.0, 0.1]))))
    assert one == pytest.approx(
        density(22.0) * stats.norm(-0.05 / 0.3, np.sqrt(0.02 - 0.05**2 / 0.3)).pdf(0.1), rel=1e-8
    )
    residual = draws[:, 1] - 0.05 / 0.3 * (magnitude - 23)
    assert abs(residual.mean()) < 4.5 * residual.std() / np.sqrt(len(draws))
    assert abs(np.corrcoef(residual, magnitude)[0, 1]) < 4.5 / np.sqrt(len(draws))


def test_density_of_a_hubble_diagram():
    diagram = supernovae.diagram()
    found = hubble_diagram.build(diagram).log_likelihood({"Omega_m": 0.3, "zero_point": 0.1})["magnitude"]
    mu = supernovae.COSMOLOGY.distmod(diagram.z_cmb).value
    assert found == pytest.approx(stats.multivariate_normal(mu + 0.1, diagram.covariance).logpdf(diagram.magnitude))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dark_energy": "quintessence"}, "`dark_energy` must be"),
        ({"latents": "ignored"}, "`latents` must be"),
        ({"limit": 24.0}, "Give both"),
        ({"limit": 24.0, "softness": 0.0}, "`softness` must be above 0"),
        ({"limit": [24.0, 23.0, 22.0], "softness": 0.1}, r"one for each of \['deep', 'wide'\]"),
        ({"limit": 24.0, "softness": 0.1, "latents": "sampled"}, "needs the latents integrated over"),
    ],
)
def test_settings_are_checked(table, settings, message):
    with pytest.raises(ValueError, match=message):
        tripp.build(table, **settings)


def test_tables_are_checked(table):
    with pytest.raises(ValueError, match=r"Redshifts must be above 0, but the lowest is -0\.1"):
        tripp.build(dataclasses.replace(table, z_cmb=np.where(np.arange(40) == 3, -0.1, table.z_cmb)))
    covariance = table.covariance.copy()
    covariance[5, 0, 0] = 0.0
    with pytest.raises(ValueError, match="of supernova `sn5` is not positive definite"):
        tripp.build(dataclasses.replace(table, covariance=covariance))
    diagram = supernovae.diagram()
    with pytest.raises(ValueError, match="Hubble diagram is not positive definite"):
        hubble_diagram.build(dataclasses.replace(diagram, covariance=-diagram.covariance))


def test_jla_is_read(published_file):
    table = read_jla(published_file("sn_jla/jla_lcparams.txt"))
    assert table.fit.shape == (740, 3)
    assert np.bincount(table.survey).tolist() == [239, 374, 118, 9]
    assert table.name[0] == "03D1au"
    np.testing.assert_array_equal(table.fit[0], [23.001698, 1.273191, -0.012353])
    assert table.covariance[0, 0, 0] == pytest.approx(0.088031**2 - 0.08**2)
    assert table.covariance[0, 1, 2] == table.covariance[0, 2, 1] == -0.00003


def test_a_file_of_other_columns_is_refused(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("#name zcmb mb\nsn1 0.1 18.0\n")
    missing = r"\['zhel', 'dmb', 'x1', 'dx1', 'color', 'dcolor', '3rdvar', 'cov_m_s', 'cov_m_c', 'cov_s_c', 'set'\] are missing"
    with pytest.raises(ValueError, match=missing):
        read_jla(path)
    with pytest.raises(FileNotFoundError):
        read_jla(tmp_path / "none.txt")


PUBLISHED = {
    "JLA": (read_jla_binned, "sn_jla/jla_binned_distances_31nodes_v1.txt", 0.295, 0.034),
    "Pantheon": (read_pantheon_binned, "sn_pantheon2018/lcparam_DS17f.txt", 0.298, 0.022),
    "Union3": (read_union3, "sn_union3/lcparam_full.txt", 0.356, 0.027),
}
"""Ω_m of a flat universe: Betoule et al. 2014, table 10; Scolnic et al. 2018, table 8; Rubin et al. 2025, table 5."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_hubble_diagrams_give_the_published_matter_density(published_file, name):
    """Within a fifth of its error: binning and priors move it by less."""
    read, file, mean, sd = PUBLISHED[name]
    problem = hubble_diagram.build(read(published_file(file).parent))
    posterior = ba.fit(problem, ba.NUTS(num_warmup=300, num_draws=1000), seed=1, progress=False)["posterior"]
    assert abs(float(posterior["Omega_m"].mean()) - mean) < 0.2 * sd
    assert float(posterior["Omega_m"].std()) == pytest.approx(sd, rel=0.1)


def test_what_is_hardly_ever_found_is_drawn_all_the_same():
    """A source 7 mag below the limit: sixty standard deviations, where only logarithms of the chance are numbers."""
    with jax.enable_x64(True):
        covariance = jnp.diag(jnp.array([0.06, 0.3, 0.03]) ** 2)
        law = DetectedNormal(jnp.array([30.0, 0.0, 0.0]), covariance, jnp.asarray(23.0), jnp.asarray(0.1))
        draws = law.sample(jax.random.key(1), (4000,))
        assert np.isfinite(law.log_prob(draws)).all()
        draws = np.asarray(draws)
    sd = np.hypot(0.06, 0.1)
    ease = -7.0 / sd
    expected = 30.0 + 0.06**2 / sd * (ease + 1.0 / ease)
    scatter = 0.06 * 0.1 / sd
    assert abs(draws[:, 0].mean() - expected) < 4.5 * scatter / np.sqrt(4000)
    assert draws[:, 0].std() == pytest.approx(scatter, rel=0.06)


@pytest.mark.slow
def test_jla_by_marginalised_and_by_sampled_latents(published_file):
    """The same posterior, with 10 unknowns and with 2,230; Betoule et al. 2014, table 10, by another likelihood."""
    table = read_jla(published_file("sn_jla/jla_lcparams.txt"))
    found = {}
    for latents in ("marginalised", "sampled"):
        result = ba.fit(tripp.build(table, latents=latents), ba.NUTS(num_warmup=500), seed=1, progress=False)
        assert not ba.diagnose(result), latents
        posterior = result["posterior"].to_dataset()[list(THETA)]
        found[latents] = posterior.mean(("chain", "draw")), posterior.std(("chain", "draw"))
    (mean, sd), (other, other_sd) = found["marginalised"], found["sampled"]
    for name in THETA:  # of some 1,000 independent draws each
        assert abs(float(mean[name] - other[name])) < 4.5 * np.sqrt(2 / 1000) * float(sd[name]), name
        assert float(other_sd[name] / sd[name]) == pytest.approx(1.0, abs=4.5 / np.sqrt(1000)), name
    assert float(mean["Omega_m"]) == pytest.approx(0.295, abs=0.034)
    assert float(mean["alpha"]) == pytest.approx(0.141, abs=0.006)
    assert float(mean["beta"]) == pytest.approx(3.101, abs=0.08)
    assert float(mean["mass_step"]) == pytest.approx(-0.070, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("selected", [False, True])
def test_supernovae_are_calibrated(selected):
    cut = {"limit": 23.0, "softness": 0.1} if selected else {}
    problem = tripp.build(supernovae.table(20, limit=cut.get("limit")), **cut)
    engine = ba.NUTS(num_chains=2, num_warmup=400, num_draws=300, target_accept=0.9)
    report = ba.calibrate(problem, engine, num_simulations=100, seed=1, chunk=1, progress=False, false_alarm=0.001)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_ignored_selection_biases_and_selection_that_is_known_does_not():
    """A survey that loses the faint ones among the distant: the universe seems to hold more matter than it does."""
    off = {True: [], False: []}
    for seed in range(10):
        table = supernovae.table(400, limit=22.6, softness=0.1, seed=seed)
        for is_known in off:
            problem = tripp.build(table, **({"limit": 22.6, "softness": 0.1} if is_known else {}))
            posterior = ba.fit(problem, ba.NUTS(num_warmup=300, num_draws=300), seed=1, progress=False)["posterior"]
            truth, draws = supernovae.TRUTH["Omega_m"], posterior["Omega_m"].values
            off[is_known].append((draws.mean() - truth) / draws.std())
    # Ten independent data sets: the mean of offsets in posterior sds has an error of 1/√10, that of differences a small one.
    assert abs(np.mean(off[True])) < 3.5 / np.sqrt(10)
    assert np.mean(off[False]) - np.mean(off[True]) > 3.5 / np.sqrt(10)
