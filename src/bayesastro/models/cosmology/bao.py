"""Flat ΛCDM from baryon acoustic oscillations alone.

Without a calibration of the sound horizon the distances depend on Ω_m and on the product h·r_d only.

References
----------
DESI Collaboration 2025, arXiv:2503.14738, section 5 (priors: table 5).
"""

import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Int

from bayesastro.datasets import BAOTable, desi_dr2_bao
from bayesastro.problem import Problem
from bayesastro.simulators.cosmology import Cosmology, bao_ratios

__all__ = ["build", "program"]


def program(z: Float[Array, " n"], kind: Int[Array, " n"], tril: Float[Array, "n n"]) -> None:
    """BAO distances in units of the sound horizon, in flat ΛCDM.

    Parameters
    ----------
    z : array, shape (n,)
        Effective redshifts.
    kind : array of int, shape (n,)
        0 for D_V/r_d, 1 for D_M/r_d, 2 for D_H/r_d.
    tril : array, shape (n, n)
        Cholesky factor of the covariance, lower triangle.
    """
    Omega_m = numpyro.sample("Omega_m", dist.Uniform(0.01, 0.99))
    hrd = numpyro.sample("hrd", dist.Uniform(10.0, 1000.0))  # h·r_d [Mpc]
    ratios = bao_ratios(z, kind, Cosmology(H0=100.0, Omega_m=Omega_m), hrd)
    numpyro.sample("bao", dist.MultivariateNormal(ratios, scale_tril=tril))


def build(table: BAOTable | None = None) -> Problem:
    """The program with a table of BAO distances, by default DESI DR2.

    Parameters
    ----------
    table : BAOTable, optional
    """
    table = desi_dr2_bao() if table is None else table
    return Problem(
        program,
        table.z,
        table.kind,
        np.linalg.cholesky(table.covariance),
        observed={"bao": table.value},
        units={"hrd": "Mpc"},
    )
