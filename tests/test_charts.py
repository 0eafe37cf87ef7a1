"""Charts against hand-written densities: SciPy's log-densities, explicit Jacobians and SciPy's quantiles.

All families are sites of one program, since compilation takes most of the time. A site's part of the log-prior is
isolated by a second point that differs from the first in that site alone.
"""

from contextlib import ExitStack
from functools import cache

import jax
import numpy as np
import numpyro
import pytest
from prior_families import FAMILIES
from scipy import stats

from bayesastro.problem import Problem

SIGMAS = 4.5
WHITE = [name for name, family in FAMILIES.items() if family.white]
CASES = [("unconstrained", name) for name in FAMILIES] + [("white", name) for name in WHITE]


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def every_family(names):
    for name in names:
        family = FAMILIES[name]
        with ExitStack() as plates:
            for i, size in enumerate(family.plates):
                plates.enter_context(numpyro.plate(f"{name}_{i}", size, dim=i - len(family.plates)))
            numpyro.sample(name, family.prior())


@cache
def case(chart_name):
    """A program of all families the chart serves: prior draws, their coordinates and the way back.

    The draws are those of the check at construction, which is compiled anyway.
    """
    names = tuple(FAMILIES) if chart_name == "unconstrained" else tuple(WHITE)
    problem = Problem(every_family, names)
    chart = getattr(problem, chart_name)
    with jax.enable_x64(True):
        probes = [problem.views().structure.probe(problem.data, jax.random.key(i)) for i in range(20)]
        theta = {name: np.stack([probe[name]["value"] for probe in probes]) for name in names}
        z = jax.jit(jax.vmap(lambda theta: chart.to_coordinates(theta, problem.data)))(theta)
        back = jax.jit(jax.vmap(lambda z: chart.to_parameters(z, problem.data)))(z)
        return problem, chart, theta, np.asarray(z), jax.tree.map(np.asarray, back)


def coordinates(chart, z, name):
    part = next(s for s in chart.slices if s.name == name)
    return z[..., part.start : part.stop].reshape(z.shape[:-1] + part.shape)


def log_reference(family, theta):
    """SciPy's log-density; without a reference the family's own `log_jacobian` is the whole density."""
    if family.reference is None:
        return 0.0
    return np.sum(getattr(family.reference, "logpdf", family.reference)(theta))


@pytest.mark.parametrize(("chart_name", "name"), CASES)
def test_round_trip(chart_name, name):
    _, _, theta, z, back = case(chart_name)
    assert np.isfinite(z).all()
    np.testing.assert_allclose(back[name], theta[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.reference is not None])
def test_log_prior_by_site(name):
    """The others' densities are stated in the coordinates."""
    problem, _, theta, *_ = case("unconstrained")
    family = FAMILIES[name]
    expected = [log_reference(family, value) for value in theta[name]]
    np.testing.assert_allclose(problem.log_prior(theta, batch_ndims=1)[name], expected, rtol=1e-10)


@cache
def log_priors():
    """Unconstrained log-prior at the first draw, and where one site alone is taken from the second."""
    problem, chart, _, z, _ = case("unconstrained")
    points = [z[0]]
    for part in chart.slices:
        points.append(z[0].copy())
        points[-1][part.start : part.stop] = z[1, part.start : part.stop]
    with jax.enable_x64(True):
        values = jax.vmap(chart.log_prior, in_axes=(0, None))(np.stack(points), problem.data)
    return np.asarray(values[0]), dict(zip(FAMILIES, np.asarray(values[1:]), strict=True))


def in_coordinates(name, draw):
    """Hand-written log-density of one site in unconstrained coordinates."""
    _, chart, theta, z, _ = case("unconstrained")
    value = theta[name][draw]
    return log_reference(FAMILIES[name], value) + FAMILIES[name].log_jacobian(coordinates(chart, z[draw], name), value)


@pytest.mark.parametrize("name", FAMILIES)
def test_unconstrained_log_prior_of_a_site(name):
    total, changed = log_priors()
    np.testing.assert_allclose(changed[name] - total, in_coordinates(name, 1) - in_coordinates(name, 0), atol=1e-10)


def test_unconstrained_log_prior_in_all():
    np.testing.assert_allclose(log_priors()[0], sum(in_coordinates(name, 0) for name in FAMILIES), rtol=1e-12)


@pytest.mark.parametrize("name", WHITE)
def test_white_map_is_the_quantile_function(name):
    _, chart, _, xi, theta = case("white")
    family, xi = FAMILIES[name], coordinates(chart, xi, name)
    expected = family.reference.ppf(stats.norm.cdf(xi)) if family.white is True else [family.white(x) for x in xi]
    np.testing.assert_allclose(theta[name], expected, rtol=1e-9)


def test_white_log_prior_is_standard_normal():
    problem, chart, _, xi, _ = case("white")
    assert chart.size == sum(np.prod(site.white_shape, dtype=int) for site in problem.parameters)
    log_prior = jax.vmap(chart.log_prior, in_axes=(0, None))(xi, problem.data)
    np.testing.assert_allclose(log_prior, stats.norm.logpdf(xi).sum(1), rtol=1e-12)


def test_prior_draws_are_white():
    problem, chart, *_ = case("white")
    num = 3000
    keys = jax.random.split(jax.random.key(1), num)
    xi = np.asarray(jax.jit(jax.vmap(lambda key: chart.draw_prior(key, problem.data)))(keys))
    assert np.abs(xi.mean(0)).max() < SIGMAS / np.sqrt(num)
    error = np.sqrt((1.0 + np.eye(chart.size)) / num)
    assert np.abs((xi.T @ xi / num - np.eye(chart.size)) / error).max() < SIGMAS
    assert np.abs((np.mean(xi**4, axis=0) - 3.0) / np.sqrt(96.0 / num)).max() < 2 * SIGMAS  # heavy-tailed statistic
