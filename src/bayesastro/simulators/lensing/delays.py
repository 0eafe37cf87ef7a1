r"""Arrival times: the Fermat potential and the delays between images.

.. math::

    \phi(\theta; \beta) = \tfrac12 |\theta - \beta|^2 - \psi(\theta), \qquad
    \Delta t_{ij} = \frac{D_{\Delta t}}{c} \left[ \phi(\theta_i) - \phi(\theta_j) \right], \qquad
    D_{\Delta t} = (1 + z_l) \frac{D_l D_s}{D_{ls}}

References
----------
Refsdal (1964), MNRAS 128, 307; Suyu et al. (2010), ApJ 711, 201, arXiv:0910.2773, equations 1 to 4;
Hogg (2000), arXiv:astro-ph/9905116, equation 19 (distance between two redshifts).
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from bayesastro.simulators.cosmology import SPEED_OF_LIGHT, Cosmology, transverse_comoving_distance
from bayesastro.simulators.lensing.mass import Mass, Position

__all__ = ["arrival_time", "fermat_potential", "time_delay_distance"]

_KM_PER_MPC = 3.0856775814913673e19
_ARCSEC = math.pi / (180 * 3600)
_DAY = 86400.0


def fermat_potential(mass: Mass, x: Position, y: Position, beta_x: ScalarLike, beta_y: ScalarLike) -> Position:
    """Fermat potential φ [arcsec²] at positions `x`, `y` [arcsec] of a source at `beta_x`, `beta_y` [arcsec]."""
    return 0.5 * ((x - beta_x) ** 2 + (y - beta_y) ** 2) - mass.potential(x, y)


def time_delay_distance(z_l: ScalarLike, z_s: ScalarLike, cosmology: Cosmology) -> Float[Array, ""]:
    """Time-delay distance D_Δt [Mpc] of a lens at redshift `z_l` and a source at `z_s` > `z_l`.

    In a closed universe source and lens must lie on the observer's half.
    """
    D_l = transverse_comoving_distance(z_l, cosmology)
    D_s = transverse_comoving_distance(z_s, cosmology)
    curvature = jnp.asarray(cosmology.Omega_k) * (cosmology.H0 / SPEED_OF_LIGHT) ** 2
    D_ls = D_s * jnp.sqrt(1.0 + curvature * D_l**2) - D_l * jnp.sqrt(1.0 + curvature * D_s**2)
    # The factors 1/(1 + z) of the three angular diameter distances leave one of the lens, which cancels.
    return D_l * D_s / D_ls


def arrival_time(fermat: Position, D_dt: ScalarLike) -> Position:
    """Arrival time [days] from the Fermat potential [arcsec²] and D_Δt [Mpc]; differences of it are delays."""
    return D_dt * _KM_PER_MPC / SPEED_OF_LIGHT * _ARCSEC**2 / _DAY * fermat
