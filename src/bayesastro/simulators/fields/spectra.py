r"""Amplitudes of a field's modes by their length: power laws with smooth deviations, and Matérn's.

An amplitude is the square root of the power spectrum, in units in which the field's variance over the grid is one: with
:math:`m_k` modes of length k of amplitude :math:`a_k`, :math:`\sum_{k>0} m_k a_k^2 = 1`. That of the mean, k = 0, is zero.

References
----------
Arras et al. 2022, Nature Astronomy 6, 259 (arXiv:2002.05218), methods, equations 4-8; Guardiani et al. 2022, PLoS ONE 17,
e0275011 (arXiv:2105.13483), appendix (Matérn).
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayesastro.simulators.fields.grids import ModeGrid
from bayesastro.simulators.fields.processes import integrated_wiener_process

__all__ = ["matern_amplitude", "power_law_amplitude", "smooth_deviations"]


def power_law_amplitude(
    grid: ModeGrid, slope: Float[ArrayLike, ""], deviations: Float[Array, " nonzero"] | float = 0.0
) -> Float[Array, " k"]:
    r"""A power law, times what deviates from it.

    .. math:: \ln a_k = s \ln k + \delta(\ln k) + \mathrm{const}

    Parameters
    ----------
    grid : ModeGrid
    slope : scalar
        Of the amplitude over the length, in logarithms: half of the power spectrum's.
    deviations : array, shape (k - 1,)
        See :func:`smooth_deviations`.

    Returns
    -------
    array, shape (k,)
    """
    return _normalised(grid, slope * grid.log_mode_length + deviations)


def matern_amplitude(grid: ModeGrid, cutoff: Float[ArrayLike, ""], slope: Float[ArrayLike, ""]) -> Float[Array, " k"]:
    r"""Flat up to a cut-off, and a power law beyond.

    .. math:: \ln a_k = \frac{s}{2} \ln\left(1 + \frac{k^2}{k_c^2}\right) + \mathrm{const}

    Parameters
    ----------
    grid : ModeGrid
    cutoff : scalar
        :math:`k_c`, in waves per unit of length.
    slope : scalar
        Of the amplitude at large k. A field of Matérn's covariance of index ν in d dimensions has :math:`-\nu - d/2`.

    Returns
    -------
    array, shape (k,)
    """
    return _normalised(grid, 0.5 * slope * jnp.log1p(jnp.square(jnp.asarray(grid.mode_length)[1:] / cutoff)))


def smooth_deviations(
    grid: ModeGrid,
    xi: Float[Array, "steps 2"],
    flexibility: Float[ArrayLike, ""],
    asperity: Float[ArrayLike, ""] = 0.0,
) -> Float[Array, " nonzero"]:
    """Deviations from a power law, an integrated Wiener process in the logarithm of the length, without its mean slope.

    Parameters
    ----------
    grid : ModeGrid
    xi : array, shape (k - 2, 2)
        Standard normals.
    flexibility : scalar
        How far they go, per square root of a factor e in length.
    asperity : scalar
        How rough they are: the weight of a Wiener process that is not integrated.

    Returns
    -------
    array, shape (k - 1,)
    """
    log_length = grid.log_mode_length
    steps = jnp.diff(log_length)
    position = integrated_wiener_process(xi, steps, flexibility, asperity)[:, 0]
    return position - position[-1] * log_length / log_length[-1]


def _normalised(grid: ModeGrid, log_amplitude: Float[Array | np.ndarray, " nonzero"]) -> Float[Array, " k"]:
    amplitude = jnp.exp(log_amplitude - jnp.max(log_amplitude))
    variance = jnp.sum(jnp.asarray(grid.multiplicity)[1:] * jnp.square(amplitude))
    return jnp.concatenate([jnp.zeros(1, amplitude.dtype), amplitude / jnp.sqrt(variance)])
