"""Baryon acoustic oscillations: distances in units of the sound horizon at the drag epoch."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, ScalarLike

from bayesastro.simulators.cosmology.distances import Cosmology, hubble_distance, transverse_comoving_distance

__all__ = ["bao_ratios"]


def bao_ratios(
    z: Float[Array, " n"], kind: Int[Array, " n"], cosmology: Cosmology, r_d: ScalarLike
) -> Float[Array, " n"]:
    r"""The three distances of a BAO table, each in units of the sound horizon.

    .. math:: D_V/r_d = (z D_M^2 D_H)^{1/3}/r_d, \quad D_M/r_d, \quad D_H/r_d

    Parameters
    ----------
    z : array, shape (n,)
        Effective redshifts.
    kind : array of int, shape (n,)
        0 for D_V/r_d, 1 for D_M/r_d, 2 for D_H/r_d.
    cosmology : Cosmology
    r_d : scalar [Mpc]
        Sound horizon at the drag epoch; with ``H0=100`` in `cosmology` it is h·r_d.

    Returns
    -------
    array, shape (n,)

    References
    ----------
    DESI Collaboration 2025, arXiv:2503.14738, section 2.
    """
    D_M = transverse_comoving_distance(z, cosmology)
    D_H = hubble_distance(z, cosmology)
    return jnp.select([kind == 0, kind == 1], [jnp.cbrt(z * D_M**2 * D_H), D_M], D_H) / r_d
