"""The expansion history from baryon acoustic oscillations and cosmic chronometers together.

The chronometers measure H(z) itself and so break the degeneracy of H₀ with the sound horizon, without early-Universe
physics. Dark energy is a cosmological constant, or has the equation of state w(a) = w₀ + w_a (1 − a).

References
----------
DESI Collaboration 2025, arXiv:2503.14738 (distances; priors: table 5);
Moresco et al. 2020, ApJ 898, 82 (chronometers and their covariance).
"""

import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int

from bayesastro.datasets import BAOTable, ChronometerTable, cosmic_chronometers, desi_dr2_bao
from bayesastro.models.cosmology.universes import DarkEnergy, check_dark_energy, flat_universe
from bayesastro.problem import Problem
from bayesastro.simulators.cosmology import bao_ratios, hubble_parameter

__all__ = ["build", "program"]


def program(
    bao_z: Float[Array, " n"],
    bao_kind: Int[Array, " n"],
    bao_tril: Float[Array, "n n"],
    clock_z: Float[Array, " m"],
    clock_tril: Float[Array, "m m"],
    dark_energy: DarkEnergy = "lambda",
) -> None:
    """BAO distances and H(z) in a flat universe.

    The prior of its matter and dark energy is that of :func:`bayesastro.models.cosmology.universes.flat_universe`.

    Parameters
    ----------
    bao_z, bao_kind, bao_tril : arrays, shapes (n,), (n,), (n, n)
        As for :func:`bayesastro.models.cosmology.bao.program`.
    clock_z : array, shape (m,)
    clock_tril : array, shape (m, m) [km/s/Mpc]
        Cholesky factor of the covariance, lower triangle.
    dark_energy : {"lambda", "w", "w0wa"}
    """
    H0 = numpyro.sample("H0", dist.Uniform(20.0, 100.0))  # [km/s/Mpc]
    hrd = numpyro.sample("hrd", dist.Uniform(10.0, 1000.0))  # h·r_d [Mpc]
    r_d = numpyro.deterministic("r_d", hrd * 100.0 / H0)  # [Mpc]
    cosmology = flat_universe(H0, dark_energy)
    ratios = bao_ratios(bao_z, bao_kind, cosmology, r_d)
    numpyro.sample("bao", dist.MultivariateNormal(ratios, scale_tril=bao_tril))
    H = hubble_parameter(clock_z, cosmology)
    numpyro.sample("H", dist.MultivariateNormal(H, scale_tril=clock_tril))


def build(
    dark_energy: DarkEnergy = "lambda",
    *,
    distances: BAOTable | None = None,
    clocks: ChronometerTable | None = None,
) -> Problem:
    """The program with data, by default DESI DR2 and the chronometers compiled by Moresco.

    Parameters
    ----------
    dark_energy : {"lambda", "w", "w0wa"}
    distances : BAOTable, optional
    clocks : ChronometerTable, optional

    Raises
    ------
    ValueError
        If `dark_energy` is none of these.
    """
    check_dark_energy(dark_energy)
    distances = desi_dr2_bao() if distances is None else distances
    clocks = cosmic_chronometers() if clocks is None else clocks
    return Problem(
        program,
        distances.z,
        distances.kind,
        np.linalg.cholesky(distances.covariance),
        clocks.z,
        np.linalg.cholesky(clocks.covariance),
        dark_energy=dark_energy,
        observed={"bao": distances.value, "H": clocks.H},
        units={"H0": "km / (s Mpc)", "H": "km / (s Mpc)", "hrd": "Mpc", "r_d": "Mpc"},
    )
