"""GeoVI on fields: exact where the truth is Gaussian, near NUTS where it is not, and honest about its work."""

import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from fields import linear_problem, poisson_problem, wiener_filter

import bayesastro as ba
from bayesastro.compilation import compile_clock
from bayesastro.inference import appraisal

SHORT = ba.GeoVI(num_iterations=3, num_samples=2, num_draws=8)


@functools.cache
def wiener_result(geometric):
    engine = ba.GeoVI(num_iterations=2, num_samples=50, num_draws=20_000, geometric=geometric)
    return ba.fit(linear_problem(64), engine, seed=1, progress=False)


@pytest.mark.parametrize("geometric", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_linear_gaussian_field_has_the_wiener_filter_as_its_posterior(geometric):
    result = wiener_result(geometric)
    mean, sd, log_evidence = wiener_filter(linear_problem(64))
    field = result["posterior"]["field"]
    assert np.abs((field.mean(("chain", "draw")) - mean) / sd).max() < 0.02
    assert np.abs(field.std(("chain", "draw")) / sd - 1).max() < 0.05
    # All importance weights of an exact approximation are the evidence itself.
    assert result.attrs["elbo"] == pytest.approx(log_evidence, abs=0.05)
    assert not {"approximation", "not_settled", "reduced_chi2"} & set(ba.diagnose(result).ids)


@pytest.mark.slow
@pytest.mark.parametrize(("geometric", "of_mean", "of_sd"), [(True, 0.1, 0.1), (False, 0.15, 0.15)])
def test_a_log_normal_poisson_field_agrees_with_nuts(geometric, of_mean, of_sd):
    """32² pixels, five counts each; in posterior sds, and as fractions of them, root mean square over the pixels."""
    problem = poisson_problem(32, 2)
    engine = ba.GeoVI(num_iterations=8, num_samples=10, num_draws=1000, geometric=geometric)
    result = ba.fit(problem, engine, seed=1, progress=False)
    nuts = ba.fit(problem, ba.NUTS(num_warmup=300, num_draws=700), seed=2, progress=False)
    fields = [r["posterior"]["field"] for r in (result, nuts)]
    (mean, exact_mean), (sd, exact_sd) = ([getattr(f, m)(("chain", "draw")) for f in fields] for m in ("mean", "std"))
    assert np.sqrt(np.mean(((mean - exact_mean) / exact_sd) ** 2)) < of_mean
    assert np.sqrt(np.mean((sd / exact_sd - 1) ** 2)) < of_sd
    assert abs(float((sd / exact_sd).mean()) - 1) < 0.03


def test_draws_come_in_mirrored_pairs():
    result = wiener_result(False)
    xi = result["posterior"]["xi"].values[0]
    centre = (xi[::2] + xi[1::2]) / 2
    np.testing.assert_allclose(centre, np.broadcast_to(centre[0], centre.shape), atol=1e-12)
    assert result.attrs["num_pairs"] == 10_000


@pytest.mark.slow
def test_another_data_set_of_equal_shape_compiles_nothing():
    first, second = linear_problem(64, seed=1), linear_problem(64, seed=2)
    ba.fit(first, SHORT, seed=1, progress=False)
    with compile_clock() as clock:
        ba.fit(first.replace(*second.data.arrays, observed=second.observed), SHORT, seed=2, progress=False)
    assert clock.count == 0


def test_many_data_sets_at_once_equal_one_by_one():
    problems, seeds = [linear_problem(64, seed=seed) for seed in (1, 2)], (5, 6)
    views = problems[0].views()

    @jax.jit
    @jax.vmap
    def run(key, data):
        state = SHORT.init(views, key, data, None)
        return SHORT.advance(views, key, state, data, 5)[1].rows["xi"][:8]

    with jax.enable_x64(True):
        stack = jax.tree.map(lambda *a: jnp.stack([jnp.asarray(x) for x in a]), *[p.data for p in problems])
        together = np.asarray(run(jnp.stack([jax.random.key(seed) for seed in seeds]), stack))
    for xi, problem, seed in zip(together, problems, seeds, strict=True):
        alone = ba.fit(problem, SHORT, seed=seed, progress=False)["posterior"]["xi"][0]
        # Sums in another order: rounding decides whether a solve to a tolerance takes one step more.
        np.testing.assert_allclose(xi, alone, atol=0.05)


@pytest.mark.slow
def test_a_start_is_where_the_expansion_point_begins():
    problem = linear_problem(64)
    first = ba.fit(problem, SHORT, seed=1, progress=False)
    again = ba.fit(problem, SHORT, seed=2, progress=False, start=first)
    assert first["iterations"]["shift"][0] > 0.5
    assert again["iterations"]["shift"][0] < 0.02


@pytest.mark.slow
def test_solves_that_end_at_their_limits_are_reported():
    engine = ba.GeoVI(num_iterations=2, num_samples=2, num_draws=8, max_cg_iterations=1, max_newton=1)
    found = ba.diagnose(ba.fit(poisson_problem(64, 1), engine, seed=1, progress=False))
    assert {"draws_not_converged", "minimum_not_converged"} <= set(found.ids)


def test_residuals_tell_noise_that_is_not_as_the_program_says():
    problem = linear_problem(64)
    table = json.loads(ba.fit(problem, SHORT, seed=1, progress=False).attrs["minisanity"])
    assert table["y"]["num"] == problem.data.arrays[2].sum()
    assert table["xi"]["num"] == 64
    assert 0.5 < table["y"]["reduced_chi2"] < 1.6
    spectrum, sigma, mask = problem.data.arrays
    overconfident = problem.replace(spectrum, sigma / 4, mask)
    rough = overconfident.replace(observed={"y": problem.observed["y"] * np.where(np.arange(64) % 2, 3.0, -3.0)})
    found = ba.diagnose(ba.fit(rough, SHORT, seed=1, progress=False))
    assert "reduced_chi2" in found.ids


def test_a_draw_far_out_is_told_as_it_is():
    """Its χ² is a number, and the square of that is none."""
    row = appraisal._row("data", np.array([0.1, 1e90, -1e90]), np.array([1.0, 1e180, 1e180]), 20)
    assert row["reduced_chi2"] == pytest.approx(2e180 / 3)
    assert row["reduced_chi2_sd"] == np.inf
    assert json.loads(json.dumps(row)) == row


@pytest.mark.slow
def test_the_bound_is_left_out_and_said_so_where_it_would_cost_too_much(monkeypatch):
    monkeypatch.setattr(appraisal, "MAX_DENSE", 10)
    engine = ba.GeoVI(num_iterations=1, num_samples=2, num_draws=4, geometric=False)
    result = ba.fit(poisson_problem(24, 1), engine, seed=1, progress=False)
    assert "elbo" not in result.attrs
    assert result.attrs["elbo_absent"] == "24 unknowns; the bound is computed for at most 10"
    assert "log_weight" not in result["sample_stats"]


@pytest.mark.slow
def test_single_precision_finds_the_same_field():
    problem = linear_problem(64)
    mean, sd, _ = wiener_filter(problem)
    result = ba.fit(problem, SHORT, seed=1, progress=False, precision="single")
    assert np.abs((result["posterior"]["field"].mean(("chain", "draw")) - mean) / sd).max() < 0.02


@pytest.mark.slow
def test_an_unknown_scale_is_inferred():
    """A normal of unknown mean and sd, whose Fisher coordinates are anchored: moments against quadrature."""

    def program():
        mean = numpyro.sample("mean", dist.Normal(0.0, 3.0))
        sd = numpyro.sample("sd", dist.LogNormal(0.0, 1.0))
        with numpyro.plate("n", 40):
            numpyro.sample("y", dist.Normal(mean, sd))

    y = 1.0 + 2.0 * np.random.default_rng(4).normal(size=40)
    result = ba.fit(ba.Problem(program, observed={"y": y}), ba.GeoVI(num_draws=4000), seed=1, progress=False)
    mean, log_sd = np.meshgrid(np.linspace(-1.5, 3.5, 401), np.linspace(0.1, 1.3, 401), indexing="ij")
    sd = np.exp(log_sd)
    log_weight = -0.5 * (mean / 3) ** 2 - 0.5 * log_sd**2 - 40 * log_sd
    log_weight -= 0.5 * ((y - mean[..., None]) ** 2).sum(-1) / sd**2
    weight = np.exp(log_weight - log_weight.max())
    for name, value in (("mean", mean), ("sd", sd)):
        exact = np.average(value, weights=weight)
        exact_sd = np.sqrt(np.average((value - exact) ** 2, weights=weight))
        draws = result["posterior"][name]
        assert abs(draws.mean() - exact) < 0.1 * exact_sd
        assert abs(draws.std() / exact_sd - 1) < 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 0}, "`GeoVI` needs `num_samples` to be a whole number of at least 1"),
        ({"num_draws": 9}, "`num_draws` must be even, but 9 came"),
        ({"tolerance": 0.0}, "`tolerance` between 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ba.GeoVI(**settings)


def test_without_nifty_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "bayesastro.inference.fisher_likelihood", raising=False)
    monkeypatch.delattr("bayesastro.inference.fisher_likelihood", raising=False)
    for name in [n for n in sys.modules if n.split(".")[0] == "nifty8"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nifty8", None)
    with pytest.raises(ImportError, match=r"pip install 'bayesastro\[fields\]'"):
        ba.fit(linear_problem(16), SHORT, seed=1)
