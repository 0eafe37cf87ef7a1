"""The log-normal field of Leclercq & Heavens: its density, and its posterior beside the published one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matrix import Z
from scipy import stats

import bayesastro as ba
from bayesastro.models.fields import lognormal, lognormal_two_point

RNG = np.random.default_rng(2)


def log_density(field, alpha, beta):
    """By hand, with the covariance between all pixels."""
    ny, nx = field.shape
    y, x = (a.ravel() for a in np.mgrid[:ny, :nx])
    squared = np.subtract.outer(y, y) ** 2 + np.subtract.outer(x, x) ** 2
    inside = 1 + alpha * field.ravel()
    g = (np.log(inside) + alpha**2 / 2) / alpha
    return stats.multivariate_normal(cov=np.exp(-squared / (4 * beta**2))).logpdf(g) - np.log(inside).sum()


def test_density_of_a_field():
    field = RNG.normal(0.3, 0.2, (4, 5))
    problem = lognormal.build(field + 0.01)
    theta = {"alpha": 0.8, "beta": 0.4, "field": field}
    assert problem.log_prior(theta)["field"] == pytest.approx(log_density(field, 0.8, 0.4), rel=1e-7)
    assert problem.log_likelihood(theta)["y"].sum() == pytest.approx(stats.norm(field, 0.01).logpdf(field + 0.01).sum())
    outside = problem.log_prior(theta | {"field": field - 2.0})
    assert np.isneginf(outside["field"])


def test_coordinates_count_from_the_data_and_the_density_is_the_same():
    y = RNG.normal(0.3, 0.2, (4, 5))
    problem = lognormal.build(y, 0.02)
    views, data = problem.views(), problem.data
    with jax.enable_x64(True):
        theta = {"alpha": jnp.asarray(0.8), "beta": jnp.asarray(0.4), "field": jnp.asarray(y + 0.03)}
        z = views.centred.to_coordinates(theta, data)
        plain = views.unconstrained.to_coordinates(theta, data)
        np.testing.assert_allclose(z[2:], 1.5, rtol=1e-4)
        np.testing.assert_allclose(views.centred.to_parameters(z, data)["field"], theta["field"], rtol=1e-6)
        shift = float(views.centred.log_density(z, data) - views.unconstrained.log_density(plain, data))
        assert shift == pytest.approx(20 * np.log(0.02))
        gradient = jax.grad(views.centred.log_density)(z - 300.0, data)
        assert np.isfinite(gradient).all()
        starts = np.asarray(
            jax.vmap(views.centred.draw_start, (0, None))(jax.random.split(jax.random.key(1), 50), data)
        )
    assert abs(starts[:, 2:].std() - 1) < Z / np.sqrt(2 * 1000)


def test_draws_have_the_two_point_function():
    """Of the field 1 pixel apart, and of one value: equation 6 of the paper."""
    problem = lognormal.build(np.zeros((6, 6)), 1e-6, alpha=(0.999, 1.001), beta=(0.499, 0.501))
    y = problem.simulate(20_000, key=jax.random.key(1)).observables["y"]
    for apart, expected in ((y[:, :, :-1] * y[:, :, 1:], np.exp(np.exp(-1)) - 1), (y**2, np.e - 1)):
        each = apart.mean((1, 2))
        assert abs(each.mean() - expected) < Z * each.std() / np.sqrt(len(each))


def test_correlations_are_means_over_pairs():
    y = RNG.normal(size=(5, 6))
    rows, columns = (a.ravel() for a in np.mgrid[:5, :6])
    apart = np.hypot(np.subtract.outer(rows, rows), np.subtract.outer(columns, columns))
    products = np.outer(y, y)
    found = lognormal_two_point.correlations(jnp.asarray(y))
    for distance, value in zip(lognormal_two_point.distances(), found, strict=True):
        assert float(value) == pytest.approx(products[np.isclose(apart, distance)].mean(), abs=1e-6)


def test_correlations_are_as_expected():
    """Simulated ones about those of the paper's equation 6; the Gaussian program has their covariance."""
    bounds = {"alpha": (0.699, 0.701), "beta": (0.499, 0.501)}
    simulated = lognormal_two_point.build(np.zeros((12, 12)), 0.3, likelihood="none", **bounds)
    draws = simulated.simulate(20_000, key=jax.random.key(1)).observables["correlations"]
    expected = lognormal_two_point.expected_correlations(0.7, 0.5, 0.3)
    error = draws.std(0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - np.asarray(expected)) < Z * error + 1e-3 * np.asarray(expected)).all()
    gaussian = lognormal_two_point.build(np.zeros((12, 12)), 0.3, fiducial=(0.7, 0.5), **bounds)
    tril = gaussian.covariates["tril"]
    ratio = np.sqrt(np.diag(tril @ tril.T)) / draws.std(0)
    np.testing.assert_allclose(ratio, 1.0, atol=0.1)
    with pytest.raises(ValueError, match='must be "gaussian" or "none"'):
        lognormal_two_point.build(np.zeros((3, 3)), likelihood="exact")
    with pytest.raises(ValueError, match="`fiducial` must lie within the priors"):
        lognormal_two_point.build(np.zeros((3, 3)), fiducial=(3.0, 0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.zeros(5)}, "an image of finite numbers"),
        ({"y": np.full((3, 3), np.nan)}, "an image of finite numbers"),
        ({"y": np.zeros((3, 3)), "sigma": 0.0}, "`sigma` must be positive"),
        ({"y": np.zeros((3, 3)), "beta": (0.8, 0.2)}, "`beta` must be two bounds that rise"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        lognormal.build(**arguments)


@pytest.mark.slow
def test_field_level_inference_is_the_published_one(published_file):
    """α and β of the paper's first field: 0.9987 ± 0.0119 and 0.4862 ± 0.0146, by a chain of 34 hours."""
    name = "lognormal_fields_LH21/Data20_05_10_80_80_500_80_1_123456_da_fields_0.npz"
    problem = lognormal.build(np.load(published_file(name))["data"])
    engine = ba.NUTS(num_warmup=400, num_draws=1200)
    result = ba.fit(problem, engine, seed=1, progress=False)
    table = ba.summary(result)
    assert float(table["r_hat"].max()) < 1.01
    assert float(table.loc[["alpha", "beta"], "ess_bulk"].min()) > 3000
    for name, mean, sd in (("alpha", 0.9987, 0.0119), ("beta", 0.4862, 0.0146)):
        found = result["posterior"][name]
        assert float(found.mean()) == pytest.approx(mean, abs=0.1 * sd)  # that chain's own R̂ is 1.05
        assert float(found.std()) == pytest.approx(sd, rel=0.1)


@pytest.mark.slow
def test_field_level_inference_is_calibrated():
    problem = lognormal.build(np.zeros((10, 10)))
    engine = ba.NUTS(num_chains=2, num_warmup=300, num_draws=300)
    report = ba.calibrate(problem, engine, num_simulations=100, seed=1, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)
