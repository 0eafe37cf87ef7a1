"""Problems of this package's programs with published data, for a first fit."""

import numpy as np

from bayesastro.datasets import load
from bayesastro.models.lightcurves import transient, transient_population
from bayesastro.problem import Problem

__all__ = ["hat_p_7", "k2_140", "k2_140_velocities", "wasp_126", "ztf_supernova", "ztf_type_ia"]

BIN = 10 / 1440
"""Of the light curves of space telescopes [day]."""

TYPICAL_IA = "ZTF20aavskyv"
"""A supernova of type Ia, seen rising and falling in both bands."""


def hat_p_7() -> Problem:
    """HAT-P-7 b before its variable star, Kepler's first ten days."""
    return _near_transits("hat_p_7", period=2.204735, t0=125.76647, density=(0.27, 0.3))


def wasp_126() -> Problem:
    """WASP-126 b before its variable star, TESS's first sector."""
    return _near_transits("wasp_126", period=3.2888, t0=1340.6797, density=(0.8, 0.5))


def _near_transits(name: str, *, period: float, t0: float, density: tuple[float, float]) -> Problem:
    """Points within four hours of a transit, in bins of ten minutes over which the program averages, too."""
    from bayesastro.models.lightcurves import transit  # with packages that supernovae do without

    curve = load(name)
    points = curve[np.abs(curve.folded(period, t0)) < 0.18].binned(BIN)
    return transit.build(
        points.time,
        points.flux,
        points.sigma,
        period=(period, 1e-3),
        t0=(t0, 0.01),
        density=density,
        variability="matern",
        gp_sigma=(3e-4, 1.0),
        gp_time=(1.0, 1.0),
        exposure=BIN,
        num_samples=5,
        window=0.13,
    )


def k2_140() -> Problem:
    """K2-140 b in transits and in radial velocities of three spectrographs."""
    from bayesastro.models.lightcurves import transit_rv

    curve = load("k2_140")
    rv = load("k2_140_velocities", reference=curve.reference)
    period, t0 = 6.5693, 45.6923
    points = curve[np.abs(curve.folded(period, t0)) < 0.2]
    return transit_rv.build(
        points.time,
        points.flux,
        points.sigma,
        rv.time,
        rv.velocity,
        rv.sigma,
        rv.instrument,
        period=(period, 1e-3),
        t0=(t0, 0.01),
        density=(1.4, 0.5),
        exposure=0.0204318,
        num_samples=7,
        window=0.12,
    )


def k2_140_velocities() -> Problem:
    """K2-140 b in radial velocities of three spectrographs alone, about the one of its possible periods at which it transits."""
    from bayesastro.models.lightcurves import radial_velocities

    rv = load("k2_140_velocities")
    return radial_velocities.build(rv.time, rv.velocity, rv.sigma, rv.instrument, period=(6.4, 6.75))


def ztf_supernova() -> Problem:
    """A supernova of type Ia in alerts, under the broad law of any supernova."""
    (curve,) = [curve for curve in load("ztf_supernovae") if curve.name == TYPICAL_IA]
    return transient.build(curve)


def ztf_type_ia() -> Problem:
    """The supernovae of type Ia among thirty in alerts, and the law of their class."""
    return transient_population.build([curve for curve in load("ztf_supernovae") if curve.label == "SNIa"])
