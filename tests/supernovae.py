"""Supernovae as the Tripp relation has them, simulated: a small survey for tests."""

import numpy as np
from astropy.cosmology import FlatLambdaCDM, FlatwCDM

from bayesastro.datasets import HubbleDiagram, SupernovaTable
from bayesastro.models.cosmology import supernova_summaries, supernova_survey

COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0)
TRUTH = {"Omega_m": 0.3, "M": -19.1, "alpha": 0.14, "beta": 3.0, "scatter": 0.1}

LATENT_TRUTH = {
    "Omega_m": 0.3,
    "w0": -1.0,
    "M": -19.1,
    "alpha": 0.14,
    "beta": 3.0,
    "scatter": 0.1,
    "x1_mean": 0.0,
    "x1_sd": 1.0,
    "c_mean": 0.0,
    "c_sd": 0.08,
    "followed": 0.9,
}
"""Parameters of the survey's program as `catalogue` has them."""


def table(number=40, *, limit=None, softness=0.1, seed=1):
    """Redshifts up to 0.9; with a `limit` [mag], only those that a survey found."""
    rng = np.random.default_rng(seed)
    kept = []
    while len(kept) < number:
        z = float(rng.uniform(0.02, 0.9))
        x1, c = rng.normal(0.0, 1.0), rng.normal(0.0, 0.08)
        mu = COSMOLOGY.distmod(z).value
        m = mu + TRUTH["M"] - TRUTH["alpha"] * x1 + TRUTH["beta"] * c + rng.normal(0.0, TRUTH["scatter"])
        root = np.array([[0.06, 0.0, 0.0], [0.05, 0.3, 0.0], [0.02, 0.003, 0.03]])
        fit = np.array([m, x1, c]) + root @ rng.normal(size=3)
        if limit is None or fit[0] + softness * rng.normal() < limit:
            kept.append((z, fit, root @ root.T, rng.uniform(8.5, 11.5)))
    z, fit, covariance, mass = (np.array(values) for values in zip(*kept, strict=True))
    return SupernovaTable(
        name=tuple(f"sn{i}" for i in range(number)),
        z_cmb=z,
        z_hel=z * 1.001,
        fit=fit,
        covariance=covariance,
        host_mass=mass,
        survey=np.arange(number) % 2,
        survey_names=("deep", "wide"),
        citation="simulated",
    )


def diagram(number=12):
    rng = np.random.default_rng(2)
    z = np.geomspace(0.02, 1.2, number)
    covariance = 0.05**2 * np.eye(number) + 0.02**2
    mu = rng.multivariate_normal(COSMOLOGY.distmod(z).value, covariance)
    return HubbleDiagram(z_cmb=z, z_hel=z, magnitude=mu, is_modulus=True, covariance=covariance, citation="simulated")


def catalogue(size=512, *, survey, seed=1, parameters=None, mass_step=0.0, is_heavy=None):
    """Explosions one by one with latents of their own, lost if too faint: what the survey's program integrates over."""
    truth = {"Omega_m": 0.3, "w0": -1.0, **TRUTH, "followed": 0.9, **(parameters or {})}
    rng = np.random.default_rng(seed)
    universe = FlatwCDM(H0=70.0, Om0=truth["Omega_m"], w0=truth["w0"], Tcmb0=0)
    cumulative = np.concatenate([[0.0], np.cumsum(survey.rate[1:] + survey.rate[:-1])])
    z = np.interp(rng.uniform(size=size), cumulative / cumulative[-1], survey.redshift)
    x1, c = rng.normal(0.0, 1.0, size), rng.normal(0.0, 0.08, size)
    heavy = np.zeros(size, bool) if is_heavy is None else is_heavy
    m = universe.distmod(z).value + truth["M"] + mass_step * heavy + rng.normal(0.0, truth["scatter"], size)
    m += truth["beta"] * c - truth["alpha"] * x1
    fit = np.stack([m, x1, c], axis=1) + rng.multivariate_normal(np.zeros(3), survey.covariance, size)
    found = fit[:, 0] + survey.softness * rng.normal(size=size) < survey.limit
    found &= rng.uniform(size=size) < truth["followed"]
    fit[:, 0] -= COSMOLOGY.distmod(z).value - 19.1
    return {"found": found.astype(int), "redshift": np.where(found, z, 0.0), "fit": np.where(found[:, None], fit, 0.0)}


def small_survey(size=60, *, mass_step=False, num_redshifts=513):
    """A problem of the survey program."""
    redshift = np.linspace(0.03, 0.9, num_redshifts)
    survey, heavy = supernova_survey.Survey(redshift=redshift, rate=1.0 + redshift), np.arange(size) % 2 == 0
    values = catalogue(size, survey=survey, is_heavy=heavy)
    return supernova_survey.build(values, survey, is_heavy=heavy, mass_step=mass_step)


def small_summary(size=2000, num_bins=6):
    """A problem of the summaries' program."""
    survey = supernova_survey.Survey()
    found = supernova_summaries.summary(catalogue(size, survey=survey), survey, num_bins)
    return supernova_summaries.build(found, size, survey)
