"""`Problem`: what one trace tells of a program, and its views of prior, likelihood and data, against SciPy."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from numpyro import handlers
from numpyro.distributions import transforms
from scipy import stats

import bayesastro as ba
from bayesastro import refusals
from bayesastro.compilation import compile_clock
from bayesastro.inference import engines
from bayesastro.refusals import CAPABILITIES

Z = 5.0
"""Monte Carlo standard errors that a mean of fixed random numbers may be off."""

X = np.array([0.5, 1.0, 2.0])
SIGMA = np.array([0.2, 0.3, 0.4])
FLUX = np.array([0.6, 1.4, 3.1])
COLOR = np.array([0.4, -1.0])


def stars(x, sigma, power=1):
    """A hierarchy with two observed sites."""
    mu = numpyro.sample("mu", dist.Normal(1.0, 2.0))
    tau = numpyro.sample("tau", dist.HalfNormal(1.5))
    with numpyro.plate("star", 3):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.deterministic("magnitude", -2.5 * theta)
        numpyro.sample("flux", dist.Normal(theta * x**power, sigma))
    numpyro.deterministic("total", theta.sum())
    with numpyro.plate("band", 2):
        numpyro.sample("color", dist.Laplace(mu / 4, 0.5))


def stars_by_hand(mu, tau, theta, flux=FLUX, x=X, sigma=SIGMA):
    """Log-prior and pointwise log-likelihood by site; leading axes are a batch."""
    each = mu[..., None], tau[..., None]
    prior = {
        "mu": stats.norm.logpdf(mu, 1.0, 2.0),
        "tau": stats.halfnorm.logpdf(tau, scale=1.5),
        "theta": stats.norm.logpdf(theta, *each).sum(-1),
    }
    likelihood = {
        "flux": stats.norm.logpdf(flux, theta * x, sigma),
        "color": stats.laplace.logpdf(COLOR, each[0] / 4, 0.5),
    }
    return prior, likelihood


def theta_of_shape(*batch):
    rng = np.random.default_rng(5)
    return {
        "mu": rng.normal(1.0, 2.0, batch),
        "tau": rng.uniform(0.2, 3.0, batch),
        "theta": rng.normal(1.0, 2.0, (*batch, 3)),
    }


def assert_same(found, expected, rtol=1e-12):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == np.shape(value), name
        np.testing.assert_allclose(found[name], value, rtol=rtol, err_msg=name)


@pytest.fixture(scope="module")
def problem():
    return ba.Problem(stars, X, SIGMA, observed={"flux": FLUX, "color": COLOR})


@pytest.fixture(scope="module")
def draws(problem):
    return problem.simulate(4000, key=jax.random.key(11))


# What the trace tells


def test_parameters_describe_the_latent_sites_in_trace_order(problem):
    described = [(s.name, s.shape, s.family, s.support, s.plates) for s in problem.parameters]
    assert described == [
        ("mu", (), "Normal", "real", ()),
        ("tau", (), "HalfNormal", "positive", ()),
        ("theta", (3,), "Normal", "real", ("star",)),
    ]
    assert all(site.kind == "latent" for site in problem.parameters)
    assert [site.free_shape for site in problem.parameters] == [(), (), (3,)]


def test_sites_of_every_kind_have_names_shapes_and_plates(problem):
    structure = problem.views().structure
    observed = [(s.name, s.shape, s.family, s.plates) for s in structure.of_kind("observed")]
    assert observed == [("flux", (3,), "Normal", ("star",)), ("color", (2,), "Laplace", ("band",))]
    deterministic = [(s.name, s.shape, s.plates) for s in structure.of_kind("deterministic")]
    assert deterministic == [("magnitude", (3,), ("star",)), ("total", (), ())]


def test_families_are_named_without_their_wrappers_and_events_counted():
    def program():
        with numpyro.plate("group", 4):
            numpyro.sample("weights", dist.Dirichlet(jnp.ones(3)))
        numpyro.sample("scales", dist.LogUniform(0.1, 10.0).expand([2, 5]).to_event(2))
        numpyro.sample("factor", dist.LKJCholesky(3, 1.0))

    found = {s.name: s for s in ba.Problem(program).parameters}
    assert {n: (s.family, s.shape, s.event_shape, s.free_shape) for n, s in found.items()} == {
        "weights": ("Dirichlet", (4, 3), (3,), (4, 2)),
        "scales": ("LogUniform", (2, 5), (2, 5), (2, 5)),
        "factor": ("LKJCholesky", (3, 3), (3, 3), (3,)),
    }
    assert found["weights"].plates == ("group",)
    assert found["weights"].support == "simplex"


def test_an_ordinary_program_provides_everything(problem):
    assert problem.provides == set(CAPABILITIES) - set(problem.lacks)
    assert set(problem.lacks) <= {"fisher"}  # of some families of observed sites it is not known


def test_program_runs_once_for_all_data_of_equal_shapes():
    calls = []

    def program(x, sigma):
        calls.append(1)
        a = numpyro.sample("a", dist.Normal(0.0, 10.0))
        numpyro.sample("y", dist.Normal(a * x, sigma))

    problem = ba.Problem(program, X, SIGMA, observed={"y": FLUX})
    assert len(calls) == 1
    ba.Problem(program, X + 1, SIGMA, observed={"y": FLUX})
    other = problem.replace(X - 1, SIGMA, observed={"y": -FLUX})
    assert len(calls) == 1
    problem.log_prior({"a": 0.5})
    num_calls = len(calls)
    other.log_likelihood({"a": 0.7})
    problem.replay({"a": 0.7})
    assert len(calls) == num_calls
    ba.Problem(program, X[:2], SIGMA[:2], observed={"y": FLUX[:2]})
    assert len(calls) == num_calls + 1


def test_check_tells_which_engines_can_run(problem):
    table = problem.check()
    assert table.index.name == "engine"
    assert list(table.index) == [*(engine.__name__ for engine in engines()), *refusals.LEARNT]
    assert list(table.columns) == ["ok", "reason", "caution"]
    assert table["ok"].drop("GeoVI").all()
    assert ((table["reason"] == "") == table["ok"]).all()

    def discrete():
        numpyro.sample("number", dist.Poisson(3.0))

    refused = ba.Problem(discrete).check()
    assert not refused.loc["NUTS", "ok"]
    assert re.match("`NUTS` needs .* site `number`", refused.loc["NUTS", "reason"])


def test_fixed_bounds_are_known_and_those_that_move_are_not():
    def program(low):
        a = numpyro.sample("a", dist.Uniform(low, 2.0))
        numpyro.sample("b", dist.Uniform(0.0, 3.0 - a))
        numpyro.sample("c", dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=4.0))
        numpyro.sample("d", dist.Kumaraswamy(2.0, 3.0))
        numpyro.sample("e", dist.Uniform(np.array([[-1.0], [-2.0]]), 5.0))

    bounds = ba.Problem(program, np.array(-0.5)).bounds
    lower, upper = bounds.pop("e")
    np.testing.assert_array_equal(lower, [[-1.0], [-2.0]])
    assert isinstance(upper, float)  # and no array of one entry, which a file would not give back as it was
    assert upper == 5.0
    assert bounds == {"a": (-0.5, 2.0), "c": (-1.0, 4.0)}


def test_repr_names_program_parameters_and_data(problem):
    assert repr(problem) == "Problem(stars: parameters mu, tau, theta[3]; observed flux, color)"


# Densities


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_densities_by_site_and_point(problem, batch):
    theta = theta_of_shape(*batch)
    prior, likelihood = stars_by_hand(**theta)
    assert_same(problem.log_prior(theta, batch_ndims=len(batch)), prior)
    assert_same(problem.log_likelihood(theta, batch_ndims=len(batch)), likelihood)
    assert_same(
        problem.replay(theta, batch_ndims=len(batch)),
        {"magnitude": -2.5 * theta["theta"], "total": theta["theta"].sum(-1)},
    )


def test_all_observed_sites_count_in_the_charts(problem):
    theta = theta_of_shape()
    prior, likelihood = stars_by_hand(**theta)
    with jax.enable_x64(True):
        z = problem.unconstrained.to_coordinates(theta, problem.data)
        density = problem.unconstrained.log_density(z, problem.data)
    parts = [np.sum(v) for v in [*prior.values(), *likelihood.values()]]
    np.testing.assert_allclose(density, sum(parts) + np.log(theta["tau"]), rtol=1e-12)


@pytest.mark.parametrize("is_validating", [True, False])
def test_values_outside_the_support_have_no_density(is_validating):
    def program():
        numpyro.sample("a", dist.Uniform(0.0, 1.0))
        numpyro.sample("y", dist.Uniform(0.0, 2.0))

    with numpyro.validation_enabled(is_validating):  # with its checks off, NumPyro's own log-densities would be finite
        problem = ba.Problem(program, observed={"y": 0.5})
        assert_same(problem.log_prior({"a": np.array([0.5, 1.5])}, batch_ndims=1), {"a": np.array([0.0, -np.inf])})
        assert problem.unconstrained.log_likelihood(np.zeros(1), problem.data) == pytest.approx(-np.log(2.0))


def test_parameter_values_may_be_numbers_lists_and_foreign_bytes(problem):
    exact = {"mu": np.array(1.0), "tau": np.array(2.0), "theta": np.array([1.0, 0.0, 3.0])}
    loose = {"mu": 1, "tau": np.int8(2), "theta": [1, 0, 3], "other": "ignored"}
    foreign = {name: value.astype(">f8") for name, value in exact.items()}
    for theta in (loose, foreign):
        assert_same(problem.log_prior(theta), problem.log_prior(exact))


def test_views_are_numpy_arrays_of_double_precision(problem, draws):
    theta = theta_of_shape()
    leaves = jax.tree.leaves([problem.log_prior(theta), problem.log_likelihood(theta), problem.replay(theta)])
    assert all(isinstance(leaf, np.ndarray) and leaf.dtype == np.float64 for leaf in leaves)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(draws))
    assert {value.dtype for value in draws.parameters.values()} == {np.dtype(np.float64)}


def masked(mask, latent_mask):
    mu = numpyro.sample("mu", dist.HalfNormal(2.0))
    with numpyro.plate("star", 3):
        with handlers.mask(mask=latent_mask):
            numpyro.sample("theta", dist.Normal(mu, 1.0))
        with handlers.mask(mask=mask):
            numpyro.sample("wait", dist.Exponential(mu))


def test_masks_drop_observed_points_and_leave_latent_ones():
    mask = np.array([True, False, True])
    problem = ba.Problem(masked, mask, mask, observed={"wait": np.array([2.0, -7.0, 0.5])})
    theta = {"mu": np.array([0.5, 3.0]), "theta": np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]])}
    mu = theta["mu"][:, None]
    expected = np.where(mask, stats.expon.logpdf([2.0, 0.0, 0.5], scale=1 / mu), 0.0)
    assert_same(problem.log_likelihood(theta, batch_ndims=1), {"wait": expected})
    prior = {
        "mu": stats.halfnorm.logpdf(theta["mu"], scale=2.0),
        "theta": stats.norm.logpdf(theta["theta"], mu).sum(-1),
    }
    assert_same(problem.log_prior(theta, batch_ndims=1), prior)

    unmasked = problem.replace(np.ones(3, bool), ~mask, observed={"wait": np.array([2.0, 1.0, 0.5])})
    assert_same(unmasked.log_prior(theta, batch_ndims=1), prior)
    assert_same(
        unmasked.log_likelihood(theta, batch_ndims=1), {"wait": stats.expon.logpdf([2.0, 1.0, 0.5], scale=1 / mu)}
    )
    parameters = [p.simulate(50, key=jax.random.key(0)).parameters for p in (problem, unmasked)]
    assert_same(*parameters)


def gathered(mask, scale):
    """Independent entries in one event: under a mask of rows, a mask of entries, an expansion, and scales of rows."""
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("plain", dist.Normal(a, 2.0).expand([2, 3]).to_event(2))
    numpyro.sample("entries", dist.Normal(a, 2.0).mask(mask).to_event(2))
    numpyro.sample("vectors", dist.MultivariateNormal(a * jnp.ones((2, 3)), jnp.eye(3)).to_event(1))
    with numpyro.plate("row", 2), handlers.mask(mask=mask[:, 0]), handlers.scale(scale=scale):
        numpyro.sample("rows", dist.Normal(a, jnp.ones(3)).to_event(1))


def test_independent_entries_have_a_likelihood_each_also_within_an_event():
    rng = np.random.default_rng(0)
    y, mask, scale = rng.normal(size=(2, 3)), np.array([[True, False, True], [False, True, True]]), np.array([1.0, 3.0])
    problem = ba.Problem(gathered, mask, scale, observed=dict.fromkeys(("plain", "entries", "vectors", "rows"), y))
    found = problem.log_likelihood({"a": np.array([0.3, -1.0])}, batch_ndims=1)
    mean = np.array([0.3, -1.0])[:, None, None]
    wide, narrow = stats.norm.logpdf(y, mean, 2.0), stats.norm.logpdf(y, mean)
    expected = {
        "plain": wide,
        "entries": np.where(mask, wide, 0.0),
        "vectors": narrow.sum(-1),
        "rows": np.where(mask[:, :1], scale[:, None] * narrow, 0.0),
    }
    assert_same(found, expected)
    with jax.enable_x64(True):
        total = problem.unconstrained.log_likelihood(np.array([0.3]), problem.data)
    np.testing.assert_allclose(total, sum(value[0].sum() for value in expected.values()), rtol=1e-12)


def test_prior_factors_count_as_prior_and_other_factors_as_likelihood():
    def program(x):
        a = numpyro.sample("a", dist.Normal(0.0, 2.0))
        numpyro.factor("ridge", -(a**2))
        numpyro.factor("custom", -jnp.abs(a - x))

    theta = {"a": 0.7}
    normal, ridge, custom = stats.norm.logpdf(0.7, 0.0, 2.0), -0.49, -np.abs(0.7 - X)
    plain = ba.Problem(program, X)
    assert_same(plain.log_prior(theta), {"a": normal})
    assert_same(plain.log_likelihood(theta), {"ridge": ridge, "custom": custom})
    assert plain.provides == set(CAPABILITIES) - {"simulate", "fisher"}

    split = ba.Problem(program, X, prior_factors="ridge")
    for problem in (split, split.replace(X + 1).replace(X), ba.Problem(program, X, prior_factors=["ridge"])):
        assert_same(problem.log_prior(theta), {"a": normal, "ridge": ridge})
        assert_same(problem.log_likelihood(theta), {"custom": custom})
    assert split.provides == {"density", "gradient"}
    with jax.enable_x64(True):
        z = np.array([0.7])
        np.testing.assert_allclose(split.unconstrained.log_prior(z, split.data), normal + ridge, rtol=1e-12)
        np.testing.assert_allclose(split.unconstrained.log_likelihood(z, split.data), custom.sum(), rtol=1e-12)


# Data


def stars_inline(x, sigma, flux=None, color=None):
    mu = numpyro.sample("mu", dist.Normal(1.0, 2.0))
    tau = numpyro.sample("tau", dist.HalfNormal(1.5))
    with numpyro.plate("star", 3):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.sample("flux", dist.Normal(theta * x, sigma), obs=flux)
    with numpyro.plate("band", 2):
        numpyro.sample("color", dist.Laplace(mu / 4, 0.5), obs=color)


def test_data_by_name_and_by_obs_are_one(problem):
    theta = theta_of_shape(4)
    prior, likelihood = stars_by_hand(**theta)
    inline = ba.Problem(stars_inline, X, SIGMA, FLUX, color=COLOR)
    mixed = ba.Problem(stars_inline, X, SIGMA, FLUX, observed={"color": COLOR})
    for other in (inline, mixed):
        assert_same(other.log_prior(theta, batch_ndims=1), prior)
        assert_same(other.log_likelihood(theta, batch_ndims=1), likelihood)
        assert other.observed.keys() == problem.observed.keys()
        for name, value in problem.observed.items():
            np.testing.assert_array_equal(other.observed[name], value)
        assert [s.name for s in other.parameters] == ["mu", "tau", "theta"]
        assert other.provides == problem.provides
        assert_same(*(p.simulate(20, key=jax.random.key(3)).observables for p in (other, problem)))


def test_data_by_name_override_those_by_obs():
    problem = ba.Problem(stars_inline, X, SIGMA, FLUX, COLOR, observed={"flux": -FLUX})
    theta = theta_of_shape()
    np.testing.assert_array_equal(problem.observed["flux"], -FLUX)
    assert_same(problem.log_likelihood(theta), stars_by_hand(**theta, flux=-FLUX)[1])


def test_an_observed_latent_is_a_parameter_held_fixed(problem):
    theta = theta_of_shape()
    fixed = ba.Problem(stars, X, SIGMA, observed={"flux": FLUX, "color": COLOR, "tau": theta["tau"]})
    assert [site.name for site in fixed.parameters] == ["mu", "theta"]
    prior, likelihood = stars_by_hand(**theta)
    assert set(fixed.log_prior(theta)) == {"mu", "theta"}
    assert fixed.log_likelihood(theta)["tau"] == pytest.approx(prior["tau"], rel=1e-12)
    assert fixed.log_likelihood(theta)["flux"] == pytest.approx(likelihood["flux"], rel=1e-12)


def test_without_data_everything_is_latent():
    assert [s.name for s in ba.Problem(stars, X, SIGMA).parameters] == ["mu", "tau", "theta", "flux", "color"]


@pytest.mark.parametrize(
    ("new", "by_hand"),
    [
        (lambda p: p.replace(2 * X, SIGMA), {"x": 2 * X}),
        (lambda p: p.replace(X, 2 * SIGMA), {"sigma": 2 * SIGMA}),
        (lambda p: p.replace(observed={"flux": FLUX + 1}), {"flux": FLUX + 1}),
        (lambda p: p.replace(2 * X, SIGMA, observed={"flux": -FLUX}), {"x": 2 * X, "flux": -FLUX}),
        (lambda p: p.replace(), {}),
    ],
)
def test_replace_exchanges_data_and_compiles_nothing(problem, new, by_hand):
    theta = theta_of_shape()
    problem.log_likelihood(theta)
    with compile_clock() as clock:
        other = new(problem)
        found = other.log_likelihood(theta)
    assert (clock.count, clock.seconds) == (0, 0.0)
    assert_same(found, stars_by_hand(**theta, **by_hand)[1])
    assert_same(problem.log_likelihood(theta), stars_by_hand(**theta)[1])  # the first problem keeps its data
    assert other.fingerprint == problem.fingerprint
    assert other.parameters == problem.parameters


def test_replace_by_keyword_keeps_the_others():
    problem = ba.Problem(stars_inline, X, sigma=SIGMA, flux=FLUX, color=COLOR)
    theta = theta_of_shape()
    problem.log_likelihood(theta)
    with compile_clock() as clock:
        other = problem.replace(flux=-FLUX)
        found = other.log_likelihood(theta)
    assert clock.count == 0
    np.testing.assert_array_equal(other.observed["flux"], -FLUX)
    assert_same(found, stars_by_hand(**theta, flux=-FLUX)[1])


def test_replace_by_name_finds_what_was_given_by_place():
    problem = ba.Problem(stars_inline, X, SIGMA, FLUX, color=COLOR)
    other = problem.replace(sigma=2 * SIGMA)
    theta = theta_of_shape()
    assert_same(other.log_likelihood(theta), stars_by_hand(**theta, sigma=2 * SIGMA)[1])
    assert other.fingerprint == problem.fingerprint
    placed = problem.replace(X, SIGMA, FLUX, -COLOR)  # in place of what was given by name
    np.testing.assert_array_equal(placed.observed["color"], -COLOR)


def test_replace_names_the_argument_that_may_have_been_meant(problem):
    message = r"The program `stars\(x, sigma, power=1\)` has no argument `sigmas`\. Did you mean `sigma`\?"
    with pytest.raises(TypeError, match=message):
        problem.replace(sigmas=SIGMA)


def test_replace_may_change_shapes_and_settings(problem):
    theta = theta_of_shape()
    squared = problem.replace(X, SIGMA, power=2)
    assert_same(squared.log_likelihood(theta), stars_by_hand(**theta, x=X**2)[1])
    scalar = problem.replace(X, np.array(0.3))
    assert_same(scalar.log_likelihood(theta), stars_by_hand(**theta, sigma=0.3)[1])


def test_settings_that_are_equal_but_of_other_types_are_told_apart():
    def program(width):
        numpyro.sample("a", dist.Normal(0.0, 1.0 if width is True else 3.0))

    wide, narrow = ba.Problem(program, 1), ba.Problem(program, True)
    assert narrow.log_prior({"a": 0.0})["a"] == pytest.approx(stats.norm.logpdf(0.0))
    assert wide.log_prior({"a": 0.0})["a"] == pytest.approx(stats.norm.logpdf(0.0, 0.0, 3.0))


class Lens(NamedTuple):
    position: np.ndarray
    name: str


def test_arguments_may_be_nested():
    def program(lens, survey):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        assert lens.name == "B1938"
        numpyro.sample("y", dist.Normal(a * lens.position, survey["noise"]["sigma"]))

    problem = ba.Problem(program, Lens(X, "B1938"), survey={"noise": {"sigma": SIGMA}}, observed={"y": FLUX})
    assert problem.static_program.array_names == ("lens.position", "survey.noise.sigma")
    np.testing.assert_allclose(problem.log_likelihood({"a": 0.3})["y"], stats.norm.logpdf(FLUX, 0.3 * X, SIGMA))


@pytest.mark.parametrize(
    "convert",
    [
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: np.repeat(a, 2)[::2],
        lambda a: np.ma.array(a),  # nothing is masked
        lambda a: jax.device_put(a.astype(np.float32)),
        lambda a: a.astype(np.int16),
        lambda a: a.astype(np.uint8),
    ],
    ids=["big-endian", "strided", "unmasked", "jax", "int16", "uint8"],
)
def test_arrays_of_every_kind_are_accepted(convert):
    x, sigma, y = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]), np.array([3.0, 0.0, 2.0])

    def program(x, sigma):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(a * x, sigma))

    problem = ba.Problem(program, convert(x), convert(sigma), observed={"y": convert(y)})
    in_single = convert(x).dtype == np.float32  # then their logarithms are in single precision too
    expected = {"y": stats.norm.logpdf(y, 0.7 * x, sigma)}
    assert_same(problem.log_likelihood({"a": 0.7}), expected, rtol=1e-7 if in_single else 1e-12)


def test_observed_values_may_be_lists_flags_and_series():
    def program():
        p = numpyro.sample("p", dist.Uniform(0.0, 1.0))
        numpyro.sample("seen", dist.Bernoulli(p).expand([3]))

    for value in ([1, 0, 1], np.array([True, False, True]), pd.Series([1.0, 0.0, 1.0])):
        found = ba.Problem(program, observed={"seen": value}).log_likelihood({"p": 0.2})
        np.testing.assert_allclose(found["seen"], np.log([0.2, 0.8, 0.2]))


def test_a_data_set_may_be_empty():
    def program(x):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(a * x, 1.0))

    problem = ba.Problem(program, np.zeros(0), observed={"y": np.zeros(0)})
    assert problem.log_likelihood({"a": 1.0})["y"].shape == (0,)
    assert problem.unconstrained.log_likelihood(np.zeros(1), problem.data) == 0.0


def test_times_of_millions_of_days_keep_their_precision():
    time = 2_459_000.123456 + np.linspace(0.0, 3.0, 50)
    sigma = 1e-9

    def program(time):
        epoch = numpyro.sample("epoch", dist.Normal(2_459_001.0, 0.1))
        period = numpyro.sample("period", dist.LogUniform(0.1, 10.0))
        numpyro.sample("phase", dist.Normal((time - epoch) / period, sigma))

    theta = {"epoch": 2_459_000.987654321, "period": 1.5}
    phase = (time - theta["epoch"]) / theta["period"]
    problem = ba.Problem(program, time, observed={"phase": phase})
    assert problem.observed["phase"].dtype == np.float64
    np.testing.assert_array_equal(problem.data.arrays[0], time)
    np.testing.assert_allclose(problem.log_likelihood(theta)["phase"], stats.norm.logpdf(0.0, 0.0, sigma), rtol=1e-9)
    later = theta | {"epoch": theta["epoch"] + 1.5e-8}  # a millisecond, ten times the error: a change of χ² by 100
    change = problem.log_likelihood(later)["phase"] - problem.log_likelihood(theta)["phase"]
    np.testing.assert_allclose(change, -50.0, rtol=0.2)
    np.testing.assert_allclose(problem.log_prior(theta)["epoch"], stats.norm.logpdf(theta["epoch"], 2_459_001.0, 0.1))


def test_inputs_are_left_as_they_were():
    x, sigma, flux = X.copy(), SIGMA.copy(), FLUX.copy()
    observed = {"flux": flux, "color": COLOR.copy()}
    for array in (x, sigma, *observed.values()):
        array.flags.writeable = False
    problem = ba.Problem(stars, x, sigma, observed=observed)
    problem.simulate(3, key=jax.random.key(0))
    theta = theta_of_shape()
    before = {name: value.copy() for name, value in theta.items()}
    problem.log_likelihood(theta)
    problem.replace(2 * X, SIGMA, observed={"flux": -FLUX})
    assert_same(theta, before)
    assert list(observed) == ["flux", "color"]
    for now, once in ((x, X), (sigma, SIGMA), (observed["flux"], FLUX), (observed["color"], COLOR)):
        np.testing.assert_array_equal(now, once)


# Simulations


def test_simulations_have_a_leading_axis_of_draws(problem, draws):
    shapes = {name: value.shape for name, value in draws.parameters.items()}
    assert shapes == {"mu": (4000,), "tau": (4000,), "theta": (4000, 3)}
    assert {name: value.shape for name, value in draws.observables.items()} == {"flux": (4000, 3), "color": (4000, 2)}
    assert problem.simulate(1, key=jax.random.key(0)).observables["flux"].shape == (1, 3)


def test_simulations_depend_on_the_key_alone(problem):
    one, same, other = (problem.simulate(30, key=jax.random.key(seed)) for seed in (1, 1, 2))
    assert jax.tree.all(jax.tree.map(np.array_equal, one, same))
    for name, values in one.parameters.items():
        assert not np.isin(values, other.parameters[name]).any(), name
    assert len(np.unique(one.observables["flux"])) == 90
    with_data = problem.replace(observed={"flux": FLUX + 100.0})  # what was observed plays no part
    assert_same(with_data.simulate(30, key=jax.random.key(1)).observables, one.observables)


def assert_mean(values, expected, what):
    error = values.std(axis=0) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(axis=0) - expected) < Z * error), what


def test_simulations_have_the_moments_of_prior_and_predictive(draws):
    mu, tau, theta = (draws.parameters[name] for name in ("mu", "tau", "theta"))
    assert_mean(mu, 1.0, "mean of mu")
    assert_mean((mu - 1.0) ** 2, 4.0, "variance of mu")
    assert_mean(tau, 1.5 * np.sqrt(2 / np.pi), "mean of tau")
    assert_mean(tau**2, 1.5**2, "square of tau")
    assert_mean((theta - 1.0) ** 2, 4.0 + 1.5**2, "variance of theta")
    assert_mean((theta[:, 0] - 1.0) * (theta[:, 1] - 1.0), 4.0, "covariance of two stars")
    flux, color = draws.observables["flux"], draws.observables["color"]
    assert_mean((flux - X) ** 2, X**2 * 6.25 + SIGMA**2, "variance of flux")
    assert_mean(color, 0.25, "mean of color")
    assert_mean((color - 0.25) ** 2, 4 / 16 + 2 * 0.5**2, "variance of color")


def test_simulated_data_belong_to_the_parameters_beside_them(draws):
    noise = (draws.observables["flux"] - draws.parameters["theta"] * X) / SIGMA
    assert_mean(noise, 0.0, "mean of the noise")
    assert_mean(noise**2, 1.0, "variance of the noise")
    assert_mean(noise * draws.parameters["theta"], 0.0, "noise and signal")


# Fingerprints


def mixed():
    """A program whose distributions hold others: NumPyro keeps their parameters in sets, in an order by hash."""
    components = dist.Normal(jnp.array([0.0, 3.0]), jnp.array([1.0, 0.5]))
    numpyro.sample("a", dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), components))
    numpyro.sample("b", dist.TransformedDistribution(dist.Gumbel(2.0, 3.0), transforms.AffineTransform(-1.0, 2.0)))
    numpyro.sample("c", dist.TwoSidedTruncatedDistribution(dist.Cauchy(0.0, 1.0), -2.0, 3.0))
    numpyro.sample("d", dist.LogUniform(0.1, 10.0).expand([3]).to_event(1))
    numpyro.sample("e", dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)))


def test_fingerprint_is_the_same_in_every_process():
    code = "import test_problem as t; print(t.ba.Problem(t.mixed).fingerprint)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True
        )
        for seed in ("1", "2")
    ]
    found = {child.communicate(timeout=120)[0].strip() for child in children}
    assert found == {ba.Problem(mixed).fingerprint}
    assert len(found.pop()) == 64


FLAT = np.zeros(2000)
BUMP = np.where(np.arange(2000) == 1000, 1.0, 0.0)
"""Differs where the abbreviated text of a long array does not show it."""


def line(
    *,
    prior=lambda: dist.Normal(0.0, 1.0),
    noise=dist.Normal,
    power=1.0,
    weight=1.0,
    end=2.0,
    table=FLAT,
    inner_table=FLAT,
):
    """A program in which one thing can be changed; every call makes another function."""

    @jax.jit
    def tabulated(a):
        return jnp.sum(a + inner_table)

    def program(x):
        a = numpyro.sample("a", prior())
        numpyro.deterministic("end", a * end)
        with handlers.scale(scale=weight):
            numpyro.sample("y", noise(tabulated(a) * x**power + jnp.sum(a * table), 1.0))

    return program


def fingerprint(program, x=X, y=FLUX):
    return ba.Problem(program, x, observed={"y": y}).fingerprint


CHANGES = {
    "family": {"prior": lambda: dist.Laplace(0.0, 1.0)},
    "scale of the prior": {"prior": lambda: dist.Normal(0.0, 1.0 + 1e-12)},
    "location of the prior": {"prior": lambda: dist.Normal(1e-9, 1.0)},
    "family of the data": {"noise": dist.Cauchy},
    "equation": {"power": 2.0},
    "deterministic site": {"end": 3.0},
    "weight of a site": {"weight": 2.0},
    "table": {"table": BUMP},
    "table within a compiled function": {"inner_table": BUMP},
}


@pytest.fixture(scope="module")
def known_fingerprint():
    return fingerprint(line())


def test_fingerprint_is_that_of_the_program_and_not_of_the_data(known_fingerprint):
    assert fingerprint(line()) == known_fingerprint
    assert fingerprint(line(), X + 1, -FLUX) == known_fingerprint


@pytest.mark.parametrize("what", CHANGES)
def test_fingerprint_changes_with_every_part_of_the_program(known_fingerprint, what):
    assert fingerprint(line(**CHANGES[what])) != known_fingerprint


def test_fingerprint_tells_weights_apart():
    assert fingerprint(line(weight=2.0)) != fingerprint(line(weight=3.0))


def test_fingerprint_changes_with_shapes_and_dtypes(known_fingerprint):
    others = [
        fingerprint(line(), X[:2], FLUX[:2]),
        fingerprint(line(), np.arange(len(X)), FLUX),
        fingerprint(line(), np.array(1.0), np.array(2.0)),
    ]
    assert len({known_fingerprint, *others}) == 4


# Global state


def test_global_settings_are_left_as_they_were(problem):
    def failing():
        numpyro.sample("a", dist.Normal(0.0, 1.0))
        raise RuntimeError("the program's own error")

    def state():
        return jax.config.jax_enable_x64, dist.Distribution._validate_args, jnp.ones(2).dtype

    def use():
        ba.Problem(stars, X, SIGMA, observed={"flux": FLUX, "color": COLOR}).simulate(2, key=jax.random.key(0))
        problem.log_prior(theta_of_shape())
        with pytest.raises(RuntimeError, match="own error") as caught:
            ba.Problem(failing)
        assert any("program `failing`" in note for note in caught.value.__notes__)

    before = state()
    assert not before[0]
    use()
    assert state() == before
    for is_validated in (True, False):
        with numpyro.validation_enabled(is_validated), jax.enable_x64(is_validated):
            before = state()
            use()
            assert state() == before


def test_global_precision_changes_no_value(problem):
    theta = theta_of_shape()
    key = jax.random.key(4)
    expected = problem.log_likelihood(theta), problem.simulate(3, key=key).parameters
    with jax.enable_x64(True):
        found = problem.log_likelihood(theta), problem.simulate(3, key=key).parameters
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, rtol=0)


def test_a_tuple_of_numbers_is_a_setting():
    def program(x, bounds):
        level = numpyro.sample("level", dist.Uniform(*bounds))
        numpyro.sample("y", dist.Normal(level * x, 1.0).to_event(1))

    problem = ba.Problem(program, np.ones(3), (0.0, 2.0), observed={"y": np.ones(3)})
    assert problem.bounds == {"level": (0.0, 2.0)}


def test_data_are_the_problems_own():
    x = np.ones(3, np.float32)

    def program(x):
        level = numpyro.sample("level", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(level * x, 0.1).to_event(1))

    problem = ba.Problem(program, x, observed={"y": np.ones(3)})
    before = problem.log_likelihood({"level": 1.0})["y"]
    assert before.dtype == problem.data.arrays[0].dtype == np.float64
    x[0] = 7.0
    np.testing.assert_array_equal(problem.log_likelihood({"level": 1.0})["y"], before)


def test_prior_factors_belong_to_the_fingerprint():
    def program():
        level = numpyro.sample("level", dist.Normal(0.0, 1.0))
        numpyro.factor("tilt", -level)

    assert ba.Problem(program).fingerprint != ba.Problem(program, prior_factors=["tilt"]).fingerprint


def test_the_fingerprint_is_the_same_in_terminals_and_notebooks(monkeypatch):
    """JAX prints in colour there, which is no part of a program."""
    from jax._src import pretty_printer

    def program():
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(jax.jit(jnp.sin)(x), 1.0))

    found = []
    for color in (False, True):
        monkeypatch.setattr(pretty_printer, "CAN_USE_COLOR", color)
        found.append(ba.Problem(lambda: program(), observed={"y": np.zeros(())}).fingerprint)
    assert found[0] == found[1]
    assert "\x1b" in str(jax.make_jaxpr(jnp.sin)(1.0))
