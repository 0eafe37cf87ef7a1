"""Supernovae as the Tripp relation has them, simulated: a small survey for tests."""

import numpy as np
from astropy.cosmology import FlatLambdaCDM

from bayesastro.datasets import HubbleDiagram, SupernovaTable

COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0)
TRUTH = {"Omega_m": 0.3, "M": -19.1, "alpha": 0.14, "beta": 3.0, "scatter": 0.1}


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
