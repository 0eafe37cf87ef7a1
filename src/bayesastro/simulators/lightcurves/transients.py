r"""Light curves of transients by formula: a rise, a plateau or none, and a decline.

Fluxes have the unit of the amplitude, times and timescales are in days. Times far from the event give zero and finite
gradients.

References
----------
Bazin et al. 2009, A&A 499, 653 (arXiv:0904.1066); Villar et al. 2019, ApJ 884, 83 (arXiv:1905.07422);
Sánchez-Sáez et al. 2021, AJ 161, 141 (arXiv:2008.03311).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

__all__ = ["bazin", "supernova"]

SWITCH = 3.0
"""Time [day] over which the plateau goes over into the decline."""


def bazin(
    time: Real[ArrayLike, "*n"],
    amplitude: Real[ArrayLike, "*#n"],
    t0: Real[ArrayLike, "*#n"],
    rise: Real[ArrayLike, "*#n"],
    fall: Real[ArrayLike, "*#n"],
) -> Float[Array, "*n"]:
    r"""A sigmoid rise and an exponential decline.

    .. math:: f(t) = A \frac{e^{-(t - t_0)/\tau_f}}{1 + e^{-(t - t_0)/\tau_r}}

    Parameters
    ----------
    time : array [day]
    amplitude : scalar or array
    t0 : scalar or array [day]
    rise, fall : scalars or arrays [day]
        :math:`\tau_r` and :math:`\tau_f`, above 0. The maximum is where :math:`\tau_f > \tau_r`, at
        :math:`t_0 + \tau_r \ln(\tau_f/\tau_r - 1)`; otherwise the flux grows without bound into the past.

    References
    ----------
    Bazin et al. 2009, arXiv:0904.1066, equation 1.
    """
    phase = jnp.asarray(time) - jnp.asarray(t0)
    return jnp.asarray(amplitude) * jnp.exp(jax.nn.log_sigmoid(phase / rise) - phase / fall)


def supernova(
    time: Real[ArrayLike, "*n"],
    amplitude: Real[ArrayLike, "*#n"],
    t0: Real[ArrayLike, "*#n"],
    plateau: Real[ArrayLike, "*#n"],
    slope: Real[ArrayLike, "*#n"],
    rise: Real[ArrayLike, "*#n"],
    fall: Real[ArrayLike, "*#n"],
) -> Float[Array, "*n"]:
    r"""The six-parameter form: a sigmoid rise, a plateau that slopes, and an exponential decline.

    With :math:`t_1 = t_0 + \gamma` and :math:`s = 1/(1 + e^{-(t - t_1)/3}`),

    .. math::

        f(t) = \frac{A}{1 + e^{-(t - t_0)/\tau_r}} \left[
            (1 - \beta) \, e^{-\max(t - t_1, 0)/\tau_f} \, s
            + \left(1 - \beta \frac{t - t_0}{\gamma}\right) (1 - s) \right]

    Published forms have no maximum in the exponent, which then overflows before the event.

    Parameters
    ----------
    time : array [day]
    amplitude : scalar or array
    t0 : scalar or array [day]
    plateau : scalar or array [day]
        :math:`\gamma`, above 0.
    slope : scalar or array
        :math:`\beta`, from 0 to 1: the part of the amplitude lost over the plateau.
    rise, fall : scalars or arrays [day]
        :math:`\tau_r` and :math:`\tau_f`, above 0.

    References
    ----------
    Villar et al. 2019, arXiv:1905.07422, equation 1, with the smooth switch of Sánchez-Sáez et al. 2021,
    arXiv:2008.03311, equation 2.
    """
    phase = jnp.asarray(time) - jnp.asarray(t0)
    late = phase - jnp.asarray(plateau)
    ends = jax.nn.sigmoid(late / SWITCH)
    decline = (1.0 - jnp.asarray(slope)) * jnp.exp(-jnp.maximum(late, 0.0) / fall)
    # Long before the event the straight line is far above one, and the rise far below.
    line = 1.0 - jnp.asarray(slope) * phase / plateau
    return jnp.asarray(amplitude) * jax.nn.sigmoid(phase / rise) * (decline * ends + line * (1.0 - ends))
