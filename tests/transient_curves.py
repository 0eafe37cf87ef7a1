"""Supernovae in two bands, simulated from the broad prior: alerts for tests."""

import jax
import numpy as np

from bayesastro.datasets.alerts import AlertLightCurve
from bayesastro.models.lightcurves.transient import BROAD, expected


def curve(number=20, *, seed=1, name="simulated"):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(-8.0, 80.0, number))
    band = rng.integers(0, 2, number)
    shape = rng.multivariate_normal(BROAD.mean, 0.1 * BROAD.covariance)
    with jax.enable_x64(True):
        flux, scatter, scale = (np.asarray(a) for a in expected(shape, time, band))
    sigma = np.full(number, 5.0)
    seen = flux + np.hypot(scale * sigma, scatter) * rng.normal(size=number)
    limit = 5 * sigma
    is_detection = seen > limit
    if not is_detection.any():
        is_detection[seen.argmax()] = True
    return AlertLightCurve(
        name=name,
        label="SNIa",
        time=58000.0 + time,
        band=band,
        flux=seen,
        sigma=sigma,
        limit=limit,
        is_detection=is_detection,
    )


def sample(number=3):
    return [curve(6 + 3 * i, seed=i, name=f"sn{i}") for i in range(number)]
