"""Charts on whole programs: hierarchies, supports that move, scans, masks, precision, against hand-written densities."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.distributions import constraints
from scipy import special, stats

from bayesastro.problem import Problem

Y = np.array([1.2, -0.7, 0.4])
SIGMA = np.array([0.5, 1.0, 0.8])
SIGMAS = 4.5
CHARTS = ["unconstrained", "white"]


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def funnel(sigma):
    mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
    tau = numpyro.sample("tau", dist.HalfNormal(2.0))
    with numpyro.plate("object", 3):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.sample("y", dist.Normal(theta, sigma))


def moving_support():
    alpha = numpyro.sample("alpha", dist.Uniform(0.0, 1.0))
    numpyro.sample("beta", dist.Uniform(0.0, 1.0 - alpha))


def latent_concentration():
    shape = numpyro.sample("shape", dist.LogNormal(0.0, 0.5))
    rate = numpyro.sample("rate", dist.Gamma(shape, 2.0))
    numpyro.sample("counts", dist.Poisson(rate).expand([3]))


def innovations():
    scale = numpyro.sample("scale", dist.HalfNormal(1.0))

    def step(state, _):
        state = 0.5 * state + scale * numpyro.sample("kick", dist.Exponential(2.0))
        numpyro.sample("y", dist.Normal(state, 0.8))
        return state, state

    _, states = scan(step, 0.0, None, length=3)
    numpyro.deterministic("states", states)


def centred_walk():
    def step(state, _):
        state = numpyro.sample("state", dist.Normal(0.5 * state, 2.0))
        width = numpyro.sample("width", dist.LogNormal(state, 0.5))
        numpyro.sample("y", dist.Normal(state, width))
        return state, None

    scan(step, 1.0, None, length=3)


def kicked_states(scale, kick):
    states = [0.0]
    for k in kick:
        states.append(0.5 * states[-1] + scale * k)
    return np.array(states[1:])


def before(state):
    return 0.5 * np.array([1.0, *state[:-1]])


class Case(NamedTuple):
    """A program at a point: hand-written log-densities by site, coordinates, and log-Jacobian of the unconstrained."""

    program: object
    args: tuple
    observed: dict
    theta: dict
    log_prior: dict
    log_likelihood: dict
    unconstrained: list
    log_jacobian: float
    white: list


def normal_of(distribution, value):
    return stats.norm.ppf(distribution.cdf(value))


def funnel_case():
    mu, tau, theta = 0.4, 1.3, np.array([1.0, -0.5, 2.0])
    return Case(
        funnel,
        (SIGMA,),
        {"y": Y},
        {"mu": mu, "tau": tau, "theta": theta},
        {
            "mu": stats.norm.logpdf(mu, 0.0, 3.0),
            "tau": stats.halfnorm.logpdf(tau, scale=2.0),
            "theta": stats.norm.logpdf(theta, mu, tau).sum(),
        },
        {"y": stats.norm.logpdf(Y, theta, SIGMA)},
        [mu, np.log(tau), *theta],
        np.log(tau),
        [mu / 3.0, normal_of(stats.halfnorm(scale=2.0), tau), *(theta - mu) / tau],
    )


def support_case():
    alpha, beta = 0.3, 0.45
    share = beta / (1 - alpha)
    return Case(
        moving_support,
        (),
        {},
        {"alpha": alpha, "beta": beta},
        {"alpha": 0.0, "beta": -np.log(1 - alpha)},
        {},
        [special.logit(alpha), special.logit(share)],
        np.log(alpha * (1 - alpha)) + np.log((1 - alpha) * share * (1 - share)),
        [stats.norm.ppf(alpha), stats.norm.ppf(share)],
    )


def gamma_case():
    shape, rate = 1.4, 0.8
    counts = np.array([0, 2, 1])
    return Case(
        latent_concentration,
        (),
        {"counts": counts},
        {"shape": shape, "rate": rate},
        {"shape": stats.lognorm.logpdf(shape, 0.5), "rate": stats.gamma.logpdf(rate, shape, scale=0.5)},
        {"counts": stats.poisson.logpmf(counts, rate)},
        [np.log(shape), np.log(rate)],
        np.log(shape) + np.log(rate),
        [np.log(shape) / 0.5, normal_of(stats.gamma(shape, scale=0.5), rate)],
    )


def innovations_case():
    scale, kick = 0.7, np.array([0.3, 1.1, 0.05])
    return Case(
        innovations,
        (),
        {"y": Y},
        {"scale": scale, "kick": kick},
        {"scale": stats.halfnorm.logpdf(scale), "kick": stats.expon.logpdf(kick, scale=0.5).sum()},
        {"y": stats.norm.logpdf(Y, kicked_states(scale, kick), 0.8)},
        [np.log(scale), *np.log(kick)],
        np.log(scale) + np.log(kick).sum(),
        [normal_of(stats.halfnorm, scale), *normal_of(stats.expon(scale=0.5), kick)],
    )


def walk_case():
    state, width = np.array([0.3, -1.1, 0.6]), np.array([1.0, 0.4, 2.0])
    return Case(
        centred_walk,
        (),
        {"y": Y},
        {"state": state, "width": width},
        {
            "state": stats.norm.logpdf(state, before(state), 2.0).sum(),
            "width": stats.lognorm.logpdf(width, 0.5, scale=np.exp(state)).sum(),
        },
        {"y": stats.norm.logpdf(Y, state, width)},
        [*state, *np.log(width)],
        np.log(width).sum(),
        [*(state - before(state)) / 2.0, *(np.log(width) - state) / 0.5],
    )


CASES = {
    case.program.__name__: case
    for case in (funnel_case(), support_case(), gamma_case(), innovations_case(), walk_case())
}


def problem_of(case):
    return Problem(case.program, *case.args, observed=case.observed)


@pytest.mark.parametrize("name", CASES)
def test_density_by_site(name):
    case = CASES[name]
    problem = problem_of(case)
    assert problem.log_prior(case.theta) == pytest.approx(case.log_prior, rel=1e-12)
    log_likelihood = problem.log_likelihood(case.theta)
    assert list(log_likelihood) == list(case.log_likelihood)
    for site, expected in case.log_likelihood.items():
        np.testing.assert_allclose(log_likelihood[site], expected, rtol=1e-12)


@pytest.mark.parametrize("chart_name", CHARTS)
@pytest.mark.parametrize("name", CASES)
def test_chart_at_a_point(name, chart_name):
    case = CASES[name]
    problem = problem_of(case)
    chart, data = getattr(problem, chart_name), problem.data
    z = chart.to_coordinates(case.theta, data)
    np.testing.assert_allclose(z, getattr(case, chart_name), rtol=1e-9, atol=1e-12)
    back = chart.to_parameters(z, data)
    for site, value in case.theta.items():
        np.testing.assert_allclose(back[site], value, rtol=1e-9)

    likelihood = sum(np.sum(term) for term in case.log_likelihood.values())
    prior = sum(case.log_prior.values()) + case.log_jacobian if chart_name == "unconstrained" else None
    prior = prior if prior is not None else stats.norm.logpdf(z).sum()
    np.testing.assert_allclose(chart.log_prior(z, data), prior, rtol=1e-9)
    np.testing.assert_allclose(chart.log_likelihood(z, data), likelihood, rtol=1e-9)
    np.testing.assert_allclose(chart.log_density(z, data), prior + likelihood, rtol=1e-9)


@pytest.mark.parametrize("chart_name", CHARTS)
@pytest.mark.parametrize("name", CASES)
def test_gradient_against_finite_differences(name, chart_name):
    problem = problem_of(CASES[name])
    chart = getattr(problem, chart_name)
    z = np.array(getattr(CASES[name], chart_name))
    gradient = jax.grad(chart.log_density)(z, problem.data)
    assert np.isfinite(gradient).all()
    step = 1e-5
    density = jax.vmap(chart.log_density, in_axes=(0, None))
    offsets = step * np.eye(chart.size)
    expected = (density(z + offsets, problem.data) - density(z - offsets, problem.data)) / (2 * step)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("chart_name", CHARTS)
def test_vmap_is_a_loop(chart_name):
    problem = problem_of(CASES["centred_walk"])
    chart = getattr(problem, chart_name)
    keys = jax.random.split(jax.random.key(2), 4)
    draws = jax.vmap(chart.draw_prior, in_axes=(0, None))(keys, problem.data)
    np.testing.assert_allclose(draws, [chart.draw_prior(key, problem.data) for key in keys], rtol=1e-12)
    batch = jax.vmap(chart.log_density, in_axes=(0, None))(draws, problem.data)
    np.testing.assert_allclose(batch, [chart.log_density(z, problem.data) for z in draws], rtol=1e-12)


@pytest.mark.parametrize("chart_name", CHARTS)
@pytest.mark.parametrize("name", ["funnel", "latent_concentration", "innovations"])
def test_single_precision_agrees_with_double(name, chart_name):
    problem = problem_of(CASES[name])
    z = np.array(getattr(CASES[name], chart_name))
    double = getattr(problem.views(), chart_name)
    single = getattr(problem.views("single"), chart_name)
    expected = double.log_density(z, problem.data), *jax.tree.leaves(double.to_parameters(z, problem.data))
    with jax.enable_x64(False):
        z = jnp.asarray(z, jnp.float32)
        found = single.log_density(z, problem.data), *jax.tree.leaves(single.to_parameters(z, problem.data))
        assert {leaf.dtype for leaf in found} == {np.dtype(np.float32)}
        assert single.draw_prior(jax.random.key(0), problem.data).dtype == np.float32
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-5)


def test_deterministic_sites_of_a_scan():
    case = CASES["innovations"]
    problem = problem_of(case)
    expected = kicked_states(**case.theta)
    np.testing.assert_allclose(problem.replay(case.theta)["states"], expected, rtol=1e-12)
    values = problem.white.to_parameters(np.array(case.white), problem.data, deterministics=("states",))
    np.testing.assert_allclose(values["states"], expected, rtol=1e-9)


def test_observations_within_a_scan_count_as_likelihood():
    def program(y):
        def step(state, value):
            state = 0.5 * state + numpyro.sample("kick", dist.Exponential(2.0))
            numpyro.sample("y", dist.Normal(state, 0.8), obs=value)
            return state, None

        scan(step, 0.0, y)

    problem = Problem(program, Y)
    kick = np.array([0.3, 1.1, 0.05])
    expected = stats.norm.logpdf(Y, kicked_states(1.0, kick), 0.8)
    np.testing.assert_allclose(problem.log_likelihood({"kick": kick})["y"], expected, rtol=1e-12)
    np.testing.assert_allclose(problem.observed["y"], Y)
    drawn = problem.simulate(2000, key=jax.random.key(0)).observables["y"]
    error = np.sqrt((0.25 + 0.64) / 2000)  # of the first: an exponential of mean and width 1/2, and the noise
    assert abs(drawn[:, 0].mean() - 0.5) < SIGMAS * error


@pytest.mark.parametrize("chart_name", CHARTS)
def test_mask_on_an_observed_site_drops_entries(chart_name):
    def program(mask):
        mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
        with handlers.mask(mask=mask):
            numpyro.sample("y", dist.Normal(mu, 0.5).expand([3]))

    mask = np.array([True, False, True])
    problem = Problem(program, mask, observed={"y": np.where(mask, Y, 1e30)})
    pointwise = problem.log_likelihood({"mu": 0.3})["y"]
    np.testing.assert_allclose(pointwise, np.where(mask, stats.norm.logpdf(Y, 0.3, 0.5), 0.0), rtol=1e-12)
    chart = getattr(problem, chart_name)
    z = chart.to_coordinates({"mu": 0.3}, problem.data)
    np.testing.assert_allclose(chart.log_likelihood(z, problem.data), pointwise.sum(), rtol=1e-12)


@pytest.mark.parametrize("mask", [False, np.array([True, False, True])])
def test_mask_on_a_latent_site_is_ignored(mask):
    def program():
        with numpyro.plate("object", 3), handlers.mask(mask=mask):
            numpyro.sample("tau", dist.HalfNormal(2.0))

    problem = Problem(program)
    tau = np.array([0.5, 1.5, 3.0])
    log_prior = stats.halfnorm.logpdf(tau, scale=2.0).sum()
    np.testing.assert_allclose(problem.log_prior({"tau": tau})["tau"], log_prior, rtol=1e-12)
    density = problem.unconstrained.log_density(np.log(tau), problem.data)
    np.testing.assert_allclose(density, log_prior + np.log(tau).sum(), rtol=1e-12)
    xi = normal_of(stats.halfnorm(scale=2.0), tau)
    np.testing.assert_allclose(problem.white.to_coordinates({"tau": tau}, problem.data), xi, rtol=1e-9)


def test_scale_acts_on_the_density_and_not_on_the_jacobian():
    def program():
        with handlers.scale(scale=3.0):
            numpyro.sample("tau", dist.HalfNormal(2.0))

    problem = Problem(program)
    density = problem.unconstrained.log_density(np.array([0.4]), problem.data)
    np.testing.assert_allclose(density, 3.0 * stats.halfnorm.logpdf(np.exp(0.4), scale=2.0) + 0.4, rtol=1e-12)
    assert {"simulate", "proper_prior", "white"} <= set(problem.lacks)


def test_density_vanishes_outside_the_support():
    problem = problem_of(CASES["moving_support"])
    assert problem.log_prior({"alpha": 0.3, "beta": 0.8})["beta"] == -np.inf


REFUSED = {
    "white_weibull": (lambda: dist.Weibull(2.0, 1.5), "`Weibull`.*Give it a normal prior", {"white"}),
    "white_mixture": (lambda: dist.FoldedDistribution(dist.Normal(1.0, 2.0)), "`Folded.*Give it a normal", {"white"}),
    "improper": (
        lambda: dist.ImproperUniform(constraints.positive, (), ()),
        "`ImproperUniform`.*Give it a proper prior",
        {"white", "simulate", "proper_prior"},
    ),
    "discrete": (lambda: dist.Poisson(3.0), "discrete prior `Poisson`.*Sum it out", {"white", "density", "gradient"}),
    "fixed": (lambda: dist.Delta(1.0), "`Delta`.*numpyro.deterministic", {"white", "density", "gradient"}),
    "sphere": (lambda: dist.ProjectedNormal(np.ones(2)), "no bijection", {"white", "density", "gradient"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_families_name_site_and_remedy(case):
    prior, words, missing = REFUSED[case]
    problem = Problem(lambda: numpyro.sample("culprit", prior()))
    assert set(problem.lacks) == missing
    assert all(lack.site == "culprit" for lack in problem.lacks.values())
    with pytest.raises(ValueError, match=f"white chart needs .* site `culprit` .*{words}"):
        _ = problem.white


def gathered(scale):
    """Six values of a field, of which sums of two are seen."""
    spread = numpyro.sample("spread", dist.LogNormal(0.0, 0.5))
    halves = lambda seen: jnp.repeat(seen / 2, 2)  # noqa: E731
    prior = dist.Normal(0.0, 3.0).expand([6]).to_event(1)
    field = numpyro.sample("field", prior, infer={"centred_on": ("y", scale * spread, halves)})
    numpyro.sample("y", dist.Normal(field.reshape(3, 2).sum(1), 0.5).to_event(1))


def test_coordinates_count_from_a_function_of_the_data():
    problem = Problem(gathered, 0.4, observed={"y": Y})
    views, data = problem.views(), problem.data
    theta = {"spread": jnp.asarray(1.5), "field": jnp.arange(6.0)}
    z = views.centred.to_coordinates(theta, data)
    np.testing.assert_allclose(z[1:], (np.arange(6.0) - np.repeat(Y / 2, 2)) / 0.6)
    np.testing.assert_allclose(views.centred.to_parameters(z, data)["field"], theta["field"])
    plain = views.unconstrained.to_coordinates(theta, data)
    shift = views.centred.log_density(z, data) - views.unconstrained.log_density(plain, data)
    assert float(shift) == pytest.approx(6 * np.log(0.6))


def not_alike():
    field = numpyro.sample("field", dist.Normal(0.0, 1.0).expand([4]).to_event(1), infer={"centred_on": ("y", 1.0)})
    numpyro.sample("y", dist.Normal(field[:3], 1.0).to_event(1))


def not_seen():
    field = numpyro.sample("field", dist.Normal(0.0, 1.0), infer={"centred_on": ("x", 1.0)})
    numpyro.sample("y", dist.Normal(field, jnp.ones(3)).to_event(1))


def test_what_coordinates_cannot_count_from_is_refused():
    problem = Problem(not_alike, observed={"y": Y})
    with pytest.raises(ValueError, match=r"`field` of shape \(4,\) cannot be centred on `y`, which gives shape \(3,\)"):
        problem.centred.draw_prior(jax.random.key(0), problem.data)
    with pytest.raises(
        ValueError, match="to be centred on `x`, but only a site over the reals can be, on an observed site"
    ):
        _ = Problem(not_seen, observed={"y": Y}).centred
