"""Programs of transients: densities by hand, padding, the law of a class, and light curves that are refused."""

import dataclasses

import jax
import numpy as np
import pytest
import transient_curves
import xarray as xr
from scipy import stats

from bayesastro.models.lightcurves import transient, transient_population
from bayesastro.models.lightcurves.transient import BROAD, SHAPE, ClassPrior

RNG = np.random.default_rng(3)


def log_density(curve, shape):
    """Of the fluxes, or of nothing detected, one by one and by hand."""
    p = dict(zip(SHAPE, shape, strict=True))
    first = curve.time[curve.is_detection].min()
    total = []
    columns = zip(curve.time - first, curve.band, curve.flux, curve.sigma, curve.limit, curve.is_detection, strict=True)
    for time, band, flux, sigma, limit, is_detection in columns:
        own = {
            n: p[f"{n}_r"] + (0 if band else p[f"{n}_g_r"]) for n in ("log_flux", "log_plateau", "log_rise", "log_fall")
        }
        middle, plateau, rise, fall = (np.exp(own[name]) for name in own)
        slope = 1 / (1 + np.exp(-p["logit_slope_r"] - (0 if band else p["logit_slope_g_r"])))
        A, phase = middle / (1 - slope / 2), time - p["t_mid"] + np.exp(p["log_plateau_r"]) / 2
        s = 1 / (1 + np.exp(-(phase - plateau) / 3))
        bracket = (1 - slope) * np.exp(-max(phase - plateau, 0) / fall) * s + (1 - slope * phase / plateau) * (1 - s)
        bump = 0.0 if not band else p["bump_r"] * np.exp(-0.5 * ((time - p["t_mid"] - p["bump_delay_r"]) / 6) ** 2)
        mean = A / (1 + np.exp(-phase / rise)) * bracket + middle * bump
        sd = np.hypot(np.exp(p["log_error_scale"]) * sigma, middle * np.exp(p["log_scatter"]))
        threshold, blur = 0.75 * limit, 0.18 * limit
        if is_detection:
            total.append(np.log(0.95) + stats.norm(mean, sd).logpdf(flux) + stats.norm(threshold, blur).logcdf(flux))
        else:
            total.append(np.log(0.05 + 0.95 * stats.norm(mean, np.hypot(sd, blur)).cdf(threshold)))
    return np.array(total)


def test_density_of_one_supernova():
    curve = transient_curves.curve()
    shape = BROAD.mean + 0.3 * RNG.normal(size=len(SHAPE))
    problem = transient.build(curve)
    np.testing.assert_allclose(problem.log_likelihood({"shape": shape})["flux"], log_density(curve, shape), rtol=1e-9)
    prior = stats.multivariate_normal(BROAD.mean, BROAD.covariance).logpdf(shape)
    assert sum(problem.log_prior({"shape": shape}).values()) == pytest.approx(prior)


@pytest.mark.parametrize("is_centred", [False, True])
def test_a_population_is_its_supernovae_whatever_the_coordinates(is_centred):
    curves = transient_curves.sample()
    k, n = len(SHAPE), len(curves)
    shapes = BROAD.mean + 0.3 * RNG.normal(size=(n, k))
    draws = shapes[:, None] + RNG.normal(size=(n, 50, k)) @ RNG.normal(size=(n, k, k)) if is_centred else None
    problem = transient_population.build(curves, draws=draws)
    theta = {
        "mean": BROAD.mean + 0.1,
        "sd": np.full(k, 0.4),
        "correlation": np.linalg.cholesky(0.3 * np.ones((k, k)) + 0.7 * np.eye(k)),
    }
    factor = 0.4 * theta["correlation"]
    middle, tril = np.tile(theta["mean"], (n, 1)), np.tile(factor, (n, 1, 1))
    if is_centred:
        middle, tril = (problem.covariates[name] for name in ("middle", "tril"))
    theta["z"] = np.stack([np.linalg.solve(t, s - m) for t, s, m in zip(tril, shapes, middle, strict=True)])
    expected = [log_density(curve, shape).sum() for curve, shape in zip(curves, shapes, strict=True)]
    np.testing.assert_allclose(problem.log_likelihood(theta)["flux"].sum(-1), expected, rtol=1e-8)
    np.testing.assert_allclose(problem.replay(theta)["shape"], shapes)
    law = stats.multivariate_normal(theta["mean"], factor @ factor.T)
    jacobian = np.log(np.diagonal(tril, axis1=1, axis2=2)).sum()
    np.testing.assert_allclose(problem.log_prior(theta)["z"], law.logpdf(shapes).sum() + jacobian)


def test_the_law_learnt_is_that_of_one_more_supernova():
    """Drawn: a class from the posterior, then a supernova from the class."""
    k, draws = len(SHAPE), 4000
    mean = RNG.normal(BROAD.mean, 0.5, (1, draws, k))
    sd = np.abs(RNG.normal(1.0, 0.1, (1, draws, k)))
    factor = np.linalg.cholesky(0.5 * np.ones((k, k)) + 0.5 * np.eye(k))
    posterior = xr.Dataset(
        {
            "mean": (("chain", "draw", "k"), mean),
            "sd": (("chain", "draw", "k"), sd),
            "correlation": (("chain", "draw", "k", "l"), np.broadcast_to(factor, (1, draws, k, k))),
        }
    )
    law = transient_population.learnt(xr.DataTree.from_dict({"posterior": posterior}))
    one_more = mean[0] + np.einsum("nij,nj->ni", sd[0][:, :, None] * factor, RNG.normal(size=(draws, k)))
    error = np.sqrt(np.diag(law.covariance) / draws)
    assert (np.abs(law.mean - one_more.mean(0)) < 5 * error).all()
    spread = np.sqrt((np.outer(np.diag(law.covariance), np.diag(law.covariance)) + law.covariance**2) / draws)
    assert (np.abs(law.covariance - np.cov(one_more.T)) < 5 * spread).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is_detection": np.zeros(20, bool)}, "`simulated` has no detection"),
        ({"sigma": np.zeros(20)}, "`sigma` of `simulated` has values that are not above 0"),
        ({"flux": np.full(20, np.nan)}, "`flux` of `simulated` must hold 20 finite numbers"),
        ({"limit": np.zeros(20)}, "`limit` of `simulated` has values that are not above 0"),
        ({"band": np.full(20, 2)}, "must hold 0 for g or 1 for r"),
    ],
)
def test_wrong_light_curves_are_refused(change, message):
    curve = dataclasses.replace(transient_curves.curve(), **change)
    with pytest.raises(ValueError, match=message):
        transient.build(curve)


def test_one_point_or_one_band_are_enough_and_order_does_not_matter():
    curve = transient_curves.curve()
    one = dataclasses.replace(
        curve,
        **{name: getattr(curve, name)[curve.is_detection][:1] for name in ("time", "band", "flux", "sigma", "limit")},
        is_detection=np.ones(1, bool),
    )
    red = dataclasses.replace(curve, band=np.ones(20, int))
    order = RNG.permutation(20)
    mixed = dataclasses.replace(
        curve,
        **{name: getattr(curve, name)[order] for name in ("time", "band", "flux", "sigma", "limit", "is_detection")},
    )
    theta = {"shape": BROAD.mean}
    for some in (one, red):
        np.testing.assert_allclose(transient.build(some).log_likelihood(theta)["flux"], log_density(some, BROAD.mean))
    np.testing.assert_allclose(
        transient.build(mixed).log_likelihood(theta)["flux"], transient.build(curve).log_likelihood(theta)["flux"]
    )


def test_what_is_fainter_than_the_reference_counts_as_not_detected():
    curve = transient_curves.curve()
    at = np.flatnonzero(curve.is_detection)[-1]
    flux, seen = curve.flux.copy(), curve.is_detection.copy()
    flux[at], seen[at] = -flux[at], False
    one, other = dataclasses.replace(curve, flux=flux), dataclasses.replace(curve, flux=flux, is_detection=seen)
    theta = {"shape": BROAD.mean}
    found = transient.build(one).log_likelihood(theta)["flux"]
    np.testing.assert_allclose(found, transient.build(other).log_likelihood(theta)["flux"])
    np.testing.assert_allclose(found, log_density(other, BROAD.mean))
    with pytest.raises(ValueError, match="`simulated` has no detection"):
        transient.build(dataclasses.replace(curve, flux=-np.abs(curve.flux)))


def test_class_priors_are_checked():
    with pytest.raises(ValueError, match=r"mean of shape \(15,\)"):
        ClassPrior(mean=np.zeros(3), covariance=np.eye(3))
    with pytest.raises(ValueError, match="not positive definite"):
        ClassPrior(mean=np.zeros(15), covariance=-np.eye(15))
    with pytest.raises(ValueError, match="at least two light curves, but 1 came"):
        transient_population.build([transient_curves.curve()])
    with pytest.raises(ValueError, match=r"must have the shape \(3, draw, 15\) with more than 15 draws"):
        transient_population.build(transient_curves.sample(), draws=np.zeros((3, 5, 15)))


def test_draws_look_like_supernovae():
    """Fluxes rise from nothing and fall; half of the prior's amplitudes are within a factor of three of 90 µJy."""
    problem = transient.build(transient_curves.curve())
    draws = problem.simulate(500, key=jax.random.key(1))
    peak = draws.observables["flux"].max(axis=1)
    assert 20 < np.median(peak) < 400
