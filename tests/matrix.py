"""The matrix: every engine with a budget for tests, and every problem with its truth.

Truths are closed forms or low-dimensional quadrature, never another sampler. An engine or a model's `build` that is
missing here fails a test of the architecture.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import confused
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import stellar_spectra
import supernovae
import transient_curves
import transits
import xray_spectra
from euclid_images import small_euclid
from lenses import small_lens
from scipy import stats
from scipy.special import logsumexp

import bayesastro as ba
from bayesastro.inference.engine import Engine
from bayesastro.models.cosmology import bao, expansion, hubble_diagram, tripp
from bayesastro.models.fields import initial_conditions, lognormal, lognormal_two_point, xray_image, xray_source
from bayesastro.models.lightcurves import transient, transient_population
from bayesastro.models.spectra import deconvolution, star, xray
from bayesastro.models.spectra.payne import spectrum_network
from bayesastro.problem import Problem

FALSE_ALARM_RATE = 1e-3
"""Chance that a correct package fails one of the suite's statistical tests, all of them together."""

NUM_COMPARISONS = 600
"""Upper bound on the number of statistical comparisons in the suite; a test counts them."""

Z = float(stats.norm.isf(FALSE_ALARM_RATE / (2 * NUM_COMPARISONS)))
"""How many Monte Carlo standard errors a correct estimate may be off."""


@dataclass(frozen=True)
class Truth:
    """A problem, and the exact means and sds of the scalars of its posterior.

    With `is_hard`, engines are known to fail: they must be right, or say that they are not.
    """

    problem: Problem
    mean: dict[str, np.ndarray]
    sd: dict[str, np.ndarray]
    log_evidence: float | None = None
    is_hard: bool = False


@dataclass(frozen=True)
class Row:
    """An engine under test."""

    engine: Engine
    shape: tuple[int, int] | None = (4, 1000)
    """Chains and draws of a result; none where the run decides."""
    known_failures: dict[str, str] = field(default_factory=dict)
    """Problem → why this engine cannot do it."""
    tolerance: float = 0.0
    """Of an approximation, beyond Monte Carlo errors: of means in posterior sds, and of sds as a fraction."""
    rough: frozenset[str] = frozenset()
    """Problems that an approximation does badly, and must say so."""
    stats: frozenset[str] = frozenset({"diverging", "lp", "tree_depth", "reached_max_treedepth"})
    """What it reports of each draw, at least."""


VARIATIONAL_STATS = frozenset({"lp", "log_weight", "converged", "cg_iterations", "newton_iterations"})

ENGINES: dict[str, Row] = {
    "nuts": Row(
        ba.NUTS(num_warmup=500, num_draws=1000, target_accept=0.9),
    ),
    "nuts_dense": Row(
        ba.NUTS(num_warmup=500, num_draws=1000, target_accept=0.9, mass_matrix="dense"),
    ),
    "geovi": Row(
        ba.GeoVI(num_draws=2000),
        (1, 2000),
        rough=frozenset({"eight_schools"}),
        tolerance=0.05,
        stats=VARIATIONAL_STATS,
    ),
    "mgvi": Row(
        ba.GeoVI(num_draws=2000, geometric=False),
        (1, 2000),
        rough=frozenset({"eight_schools"}),
        tolerance=0.1,
        stats=VARIATIONAL_STATS,
    ),
    "nested": Row(ba.NestedSampler(num_live=400), (4, 500), stats=frozenset({"lp"})),
    "smc": Row(ba.SMC(num_islands=8, num_particles=250), (8, 250), stats=frozenset({"lp"})),
    "mclmc": Row(
        ba.MCLMC(num_warmup=2000, num_draws=1000),
        tolerance=0.1,
        stats=frozenset({"lp", "energy_change", "num_nans", "step_size"}),
    ),
    "mclmc_adjusted": Row(
        ba.MCLMC(num_warmup=1000, num_draws=1000, adjusted=True),
        stats=frozenset({"lp", "acceptance_rate", "diverging", "n_steps", "step_size"}),
    ),
    "pathfinder": Row(
        ba.Pathfinder(num_draws=1000),
        (1, 1000),
        rough=frozenset({"eight_schools", "bounded_hierarchy", "correlated_gaussian", "banana", "mixture"}),
        tolerance=0.1,
        stats=frozenset({"lp"}),
    ),
    "ensemble": Row(ba.Ensemble(max_steps=10_000), None, stats=frozenset({"lp"})),
}


def correlated_gaussian() -> Truth:
    size, correlation = 5, 0.95
    errors = correlation * np.ones((size, size)) + (1 - correlation) * np.eye(size)
    y = np.linspace(-1.0, 2.0, size)

    def program(tril):
        x = numpyro.sample("x", dist.Normal(0.0, 3.0).expand([size]).to_event(1))
        numpyro.sample("y", dist.MultivariateNormal(x, scale_tril=tril))

    covariance = np.linalg.inv(np.linalg.inv(errors) + np.eye(size) / 9)
    return Truth(
        ba.Problem(program, np.linalg.cholesky(errors), observed={"y": y}),
        {"x": covariance @ np.linalg.solve(errors, y)},
        {"x": np.sqrt(np.diag(covariance))},
        float(stats.multivariate_normal(np.zeros(size), errors + 9 * np.eye(size)).logpdf(y)),
    )


def banana() -> Truth:
    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("b", dist.Normal(0.5 * a**2, 0.5))

    sd_b = np.sqrt(0.25 * 2 + 0.25)
    return Truth(ba.Problem(program), {"a": 0.0, "b": 0.5}, {"a": 1.0, "b": sd_b}, 0.0)


def funnel() -> Truth:
    """Neal's funnel, centred: chains cannot enter its neck."""

    def program():
        v = numpyro.sample("v", dist.Normal(0.0, 3.0))
        numpyro.sample("x", dist.Normal(0.0, jnp.exp(v / 2)).expand([9]).to_event(1))

    return Truth(ba.Problem(program), {"v": 0.0}, {"v": 3.0}, 0.0, is_hard=True)


def mixture() -> Truth:
    weights, means, sds = np.array([0.3, 0.7]), np.array([-2.0, 1.5]), np.array([0.8, 1.0])

    def program():
        parts = dist.Normal(jnp.asarray(means), jnp.asarray(sds))
        numpyro.sample("x", dist.MixtureSameFamily(dist.Categorical(jnp.asarray(weights)), parts))

    mean = weights @ means
    return Truth(ba.Problem(program), {"x": mean}, {"x": np.sqrt(weights @ (sds**2 + means**2) - mean**2)}, 0.0)


SCHOOLS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SCHOOL_ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
"""Rubin 1981, J. Educ. Stat. 6, 377, table 1."""


def eight_schools() -> Truth:
    def program(sigma):
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
        with numpyro.plate("school", sigma.shape[0]):
            offset = numpyro.sample("offset", dist.Normal(0.0, 1.0))
            theta = numpyro.deterministic("theta", mu + tau * offset)
            numpyro.sample("y", dist.Normal(theta, sigma))

    # Given tau, everything is Gaussian; the rest is one integral over tau, in t = log tau.
    t = np.linspace(np.log(1e-5), np.log(1e6), 20001)
    tau = np.exp(t)[:, None]
    variance = SCHOOL_ERRORS**2 + tau**2
    mu_variance = 1 / (1 / 25 + (1 / variance).sum(1))
    mu_mean = mu_variance * (SCHOOLS / variance).sum(1)
    # log p(y | tau) by the identity p(y) = p(y | mu) p(mu) / p(mu | y) at mu = 0.
    log_likelihood = (
        stats.norm.logpdf(SCHOOLS, 0, np.sqrt(variance)).sum(1)
        + stats.norm.logpdf(0, 0, 5)
        - stats.norm.logpdf(0, mu_mean, np.sqrt(mu_variance))
    )
    log_weight = log_likelihood + stats.halfcauchy.logpdf(tau[:, 0], scale=5) + t
    log_evidence = logsumexp(log_weight) + np.log(t[1] - t[0])
    weight = np.exp(log_weight - logsumexp(log_weight))[:, None]
    shrink = tau**2 / variance
    theta_mean = mu_mean[:, None] * (1 - shrink) + shrink * SCHOOLS
    theta_variance = shrink * SCHOOL_ERRORS**2 + (1 - shrink) ** 2 * mu_variance[:, None]

    def moments(mean, var):
        first = (weight * mean).sum(0)
        return first, np.sqrt((weight * (var + mean**2)).sum(0) - first**2)

    mu, theta = moments(mu_mean[:, None], mu_variance[:, None]), moments(theta_mean, theta_variance)
    # The tails of tau and of theta are heavy: Monte Carlo errors of their second moments mean little and are not tested.
    return Truth(
        ba.Problem(program, SCHOOL_ERRORS, observed={"y": SCHOOLS}),
        {"mu": mu[0][0], "theta": theta[0]},
        {"mu": mu[1][0]},
        float(log_evidence),
    )


def poisson_regression() -> Truth:
    x = np.linspace(-1.0, 1.0, 12)
    counts = np.array([2, 0, 1, 3, 2, 4, 3, 7, 5, 6, 12, 10])

    def program(x):
        intercept = numpyro.sample("intercept", dist.Normal(0.0, 2.0))
        slope = numpyro.sample("slope", dist.Normal(0.0, 2.0))
        numpyro.sample("counts", dist.Poisson(jnp.exp(intercept + slope * x)))

    a, b = np.meshgrid(np.linspace(-1.5, 3, 601), np.linspace(-2, 5, 801), indexing="ij")
    log_weight = stats.norm.logpdf(a, 0, 2) + stats.norm.logpdf(b, 0, 2)
    log_weight += sum(stats.poisson.logpmf(n, np.exp(a + b * xi)) for n, xi in zip(counts, x, strict=True))
    mean, sd, log_evidence = _grid_moments({"intercept": a, "slope": b}, log_weight)
    return Truth(ba.Problem(program, x, observed={"counts": counts}), mean, sd, log_evidence)


def bounded_hierarchy() -> Truth:
    """Bounded, simplex, positive and dynamically bounded parameters, two of them conjugate."""
    votes, clicks, tries = np.array([12, 30, 8]), 7, np.array([9, 4])

    def program(exposure):
        weights = numpyro.sample("weights", dist.Dirichlet(2.0 * jnp.ones(3)))
        numpyro.sample("votes", dist.Multinomial(50, weights))
        rate = numpyro.sample("rate", dist.Gamma(3.0, 1.0))
        numpyro.sample("clicks", dist.Poisson(rate * exposure))
        alpha = numpyro.sample("alpha", dist.Uniform(0.0, 1.0))
        beta = numpyro.sample("beta", dist.Uniform(0.0, 1.0 - alpha))
        numpyro.sample("tries", dist.Binomial(20, jnp.stack([alpha, beta])).to_event(1))

    posterior = stats.dirichlet(2.0 + votes)
    a, s = np.meshgrid((np.arange(1500) + 0.5) / 1500, (np.arange(1500) + 0.5) / 1500, indexing="ij")
    b = s * (1 - a)  # uniform on (0, 1 − a) is uniform in s
    log_weight = stats.binom.logpmf(tries[0], 20, a) + stats.binom.logpmf(tries[1], 20, b)
    mean, sd, log_tries = _grid_moments({"alpha": a, "beta": b}, log_weight)
    log_votes = stats.dirichlet_multinomial.logpmf(votes, 2.0 * np.ones(3), 50)
    log_clicks = stats.nbinom.logpmf(clicks, 3, 1 / (1 + 2.5))
    return Truth(
        ba.Problem(program, np.array(2.5), observed={"votes": votes, "clicks": np.array(clicks), "tries": tries}),
        mean | {"weights": posterior.mean(), "rate": (3 + clicks) / 3.5},
        sd | {"weights": np.sqrt(posterior.var()), "rate": np.sqrt(3 + clicks) / 3.5},
        float(log_tries + log_votes + log_clicks),
    )


def _grid_moments(values, log_weight):
    """Means, sds and log-integral of a density on a regular grid, by the midpoint rule."""
    axes = list(values.values())
    cell = (axes[0][1, 0] - axes[0][0, 0]) * (1.0 if len(axes) < 2 else _spacing(axes[1]))
    total = logsumexp(log_weight)
    weight = np.exp(log_weight - total)
    mean = {name: float((weight * value).sum()) for name, value in values.items()}
    sd = {name: float(np.sqrt((weight * (value - mean[name]) ** 2).sum())) for name, value in values.items()}
    return mean, sd, float(total + np.log(cell))


def _spacing(axis):
    # The second axis of `bounded_hierarchy` is s, of unit length; its image b = s (1 − a) has no constant spacing.
    steps = np.diff(axis, axis=1)
    return float(steps[0, 0]) if np.allclose(steps, steps[0, 0]) else 1 / axis.shape[1]


PROBLEMS: dict[str, Callable[[], Truth]] = {
    "correlated_gaussian": correlated_gaussian,
    "banana": banana,
    "funnel": funnel,
    "mixture": mixture,
    "eight_schools": eight_schools,
    "poisson_regression": poisson_regression,
    "bounded_hierarchy": bounded_hierarchy,
}

MODELS: dict[str, Callable[[], Problem]] = {
    "cosmology.bao": bao.build,
    "cosmology.expansion": expansion.build,
    "cosmology.expansion w0wa": lambda: expansion.build("w0wa"),
    "cosmology.hubble_diagram": lambda: hubble_diagram.build(supernovae.diagram(), "w"),
    "cosmology.supernova_summaries": supernovae.small_summary,
    "cosmology.supernova_survey": lambda: supernovae.small_survey(mass_step=True),
    "cosmology.tripp": lambda: tripp.build(supernovae.table()),
    "cosmology.tripp sampled": lambda: tripp.build(supernovae.table(8), latents="sampled"),
    "cosmology.tripp selected": lambda: tripp.build(supernovae.table(limit=23.0), limit=23.0, softness=0.1),
    "fields.initial_conditions": lambda: initial_conditions.build(np.ones((4, 4, 4)), 80.0, 1e-3),
    "fields.xray_image": lambda: xray_image.build(np.ones((8, 8), int), np.ones((8, 8)), np.ones((3, 3)) / 9, 1.0),
    "fields.xray_source": lambda: xray_source.build(
        [np.ones((9, 9), int)], [np.ones((3, 3)) / 9], [np.ones((9, 9), bool)], [[0.0, 0.0]]
    ),
    "fields.lognormal_two_point": lambda: lognormal_two_point.build(np.eye(5), num_simulations=200),
    "fields.lognormal_two_point simulated": lambda: lognormal_two_point.build(np.eye(5), likelihood="none"),
    "fields.lognormal": lambda: lognormal.build(np.random.default_rng(1).normal(0.3, 0.2, (4, 5))),
    "lightcurves.transient": lambda: transient.build(transient_curves.curve()),
    "lightcurves.transient_population": lambda: transient_population.build(transient_curves.sample()),
    "lightcurves.transit rotation": lambda: transits.problem(30, variability="rotation"),
    "lightcurves.radial_velocities": transits.velocities,
    "lightcurves.radial_velocities circular": lambda: transits.velocities(12, eccentric=False, trend=False),
    "lightcurves.transit_rv": lambda: transits.joint(30, variability="matern"),
    "lensing.euclid": lambda: small_euclid(2),
    "lensing.parametric": small_lens,
    "spectra.binary_star": lambda: stellar_spectra.pair(1),
    "spectra.binary_star alone": lambda: stellar_spectra.pair(1, has_companion=False),
    "spectra.binary_star visits": lambda: stellar_spectra.pair(3, continuum_order=1),
    "spectra.deblending": confused.flat,
    "spectra.deblending log": lambda: confused.flat(flux_prior="log_uniform", confusion_scale=None),
    "spectra.deblending_sed": confused.sed,
    "spectra.deconvolution": lambda: deconvolution.build(xray_spectra.small_spectrum(), num_nodes=16),
    "spectra.star": lambda: star.build(
        stellar_spectra.spectra(2),
        spectrum_network(stellar_spectra.networks()),
        max_rotation=50.0,
        max_veiling=2.0,
        continuum_order=1,
    ),
    "spectra.xray": xray_spectra.two_detectors,
    "spectra.young_star": stellar_spectra.young,
    "spectra.xray smooth": lambda: xray.build(
        xray_spectra.small_spectrum(), xray_spectra.cross_sections(), background="smooth"
    ),
}
"""Every `build` of the package."""
