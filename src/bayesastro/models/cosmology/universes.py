"""Priors of flat universes that the programs over distances share."""

from typing import Any, Literal, get_args

import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Float

from bayesastro.simulators.cosmology import Cosmology

__all__ = ["DISTANCE_H0", "DarkEnergy", "check_dark_energy", "check_redshifts", "flat_universe"]

DarkEnergy = Literal["lambda", "w", "w0wa"]

DISTANCE_H0 = 70.0
"""Hubble constant [km/s/Mpc] that absolute magnitudes and zero points refer to; supernovae alone do not know it."""


def check_dark_energy(dark_energy: str) -> None:
    """Raise unless it is one of those known.

    Raises
    ------
    ValueError
    """
    if dark_energy not in get_args(DarkEnergy):
        known = " or ".join(f'"{name}"' for name in get_args(DarkEnergy))
        raise ValueError(f"`dark_energy` must be {known}, but {dark_energy!r} came.")


def check_redshifts(z: Float[np.ndarray, " n"]) -> None:
    """Raise unless all are above 0.

    Raises
    ------
    ValueError
    """
    if not (np.isfinite(z) & (z > 0)).all():
        raise ValueError(f"Redshifts must be above 0, but the lowest is {np.min(z)}.")


def flat_universe(H0: Any, dark_energy: DarkEnergy) -> Cosmology:
    """A flat universe of unknown matter density, and of unknown dark energy if asked.

    The prior is flat in Ω_m between 0.01 and 0.99, in a constant equation of state w₀ between −3 and 1, and in
    (w₀, w_a) as DESI's (arXiv:2503.14738, table 5), with its cut w₀ + w_a < 0, without which dark energy may take the
    place of matter at high redshift. The other edges are those of the two coordinates sampled: −3 < w₀ < 1 and
    −3 < w₀ + w_a, where DESI has −3 < w_a < 2.

    Parameters
    ----------
    H0 : scalar [km/s/Mpc]
    dark_energy : {"lambda", "w", "w0wa"}
    """
    Omega_m = numpyro.sample("Omega_m", dist.Uniform(0.01, 0.99))
    w0: Any = -1.0
    wa: Any = 0.0
    if dark_energy != "lambda":
        w0 = numpyro.sample("w0", dist.Uniform(-3.0, 1.0))
    if dark_energy == "w0wa":
        w_early = numpyro.sample("w_early", dist.Uniform(-3.0, 0.0))  # w₀ + w_a, the limit at high redshift
        wa = numpyro.deterministic("wa", w_early - w0)
    return Cosmology(H0=H0, Omega_m=Omega_m, w0=w0, wa=wa)
