r"""Statistics of counts on a background that was counted elsewhere, for comparison with published fits.

A source region has S counts, a background region B; the background expected in the source region is r times that of the
background region. Likelihoods with a background of its own prior are in the programs; these are not likelihoods.

References
----------
Wachter, Leach & Kellogg (1979), ApJ 230, 274 (the profile likelihood); Arnaud, XSPEC manual, appendix B (the W-statistic);
Gehrels (1986), ApJ 303, 336.
"""

import jax.numpy as jnp
from jax.scipy.special import xlogy
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real

__all__ = ["chi2_gehrels", "profiled_background", "w_statistic"]


def profiled_background(
    counts: Real[ArrayLike, "*n"],
    background_counts: Real[ArrayLike, "*n"],
    source: Real[ArrayLike, "*n"],
    scale: Real[ArrayLike, "*#n"],
) -> Float[Array, "*n"]:
    r"""Background of the background region at which the likelihood is greatest, given the source.

    The larger root of :math:`r (1 + r) b^2 - [r (S + B) - (1 + r) m] b - m B = 0`.

    Parameters
    ----------
    counts, background_counts : arrays, shape (n,)
        S and B.
    source : array, shape (n,)
        m, expected counts of the source, not negative.
    scale : scalar or array
        r, positive.
    """
    S, B, m, r = (jnp.asarray(a, float) for a in (counts, background_counts, source, scale))
    linear, product = r * (S + B) - (1.0 + r) * m, m * B
    has_product = product > 0
    root = jnp.sqrt(jnp.where(has_product, linear**2 + 4.0 * r * (1.0 + r) * product, 1.0))
    # Of the two forms of the root the one without a difference of like numbers.
    is_up = linear > 0
    up = (linear + root) / (2.0 * r * (1.0 + r))
    down = 2.0 * product / jnp.where(is_up, 1.0, root - linear)
    return jnp.where(has_product, jnp.where(is_up, up, down), jnp.maximum(linear, 0.0) / (r * (1.0 + r)))


def w_statistic(
    counts: Real[ArrayLike, "*n"],
    background_counts: Real[ArrayLike, "*n"],
    source: Real[ArrayLike, "*n"],
    scale: Real[ArrayLike, "*#n"],
) -> Float[Array, "*n"]:
    r"""Twice the log-likelihood ratio of a perfect fit, with the background profiled out.

    .. math:: W = 2 [m + (1 + r) b - S - B + S \ln (S / (m + r b)) + B \ln (B / b)]

    with b of :func:`profiled_background`. Biased where there are few background counts in a group.

    Parameters
    ----------
    counts, background_counts, source, scale
        As for :func:`profiled_background`.
    """
    S, B, m, r = (jnp.asarray(a, float) for a in (counts, background_counts, source, scale))
    b = profiled_background(S, B, m, r)
    total, positive_b = m + r * b, jnp.where(B > 0, b, 1.0)
    positive_total = jnp.where(S > 0, total, 1.0)
    return 2.0 * (total - S + xlogy(S, S) - S * jnp.log(positive_total) + b - B + xlogy(B, B) - B * jnp.log(positive_b))


def chi2_gehrels(
    counts: Real[ArrayLike, "*n"],
    background_counts: Real[ArrayLike, "*n"],
    source: Real[ArrayLike, "*n"],
    scale: Real[ArrayLike, "*#n"],
) -> Float[Array, "*n"]:
    r"""χ² of counts with the background subtracted, by Gehrels' upper errors :math:`1 + \sqrt{N + 3/4}`.

    Parameters
    ----------
    counts, background_counts, source, scale
        As for :func:`profiled_background`.
    """
    S, B, m, r = (jnp.asarray(a, float) for a in (counts, background_counts, source, scale))
    variance = (1.0 + jnp.sqrt(S + 0.75)) ** 2 + r**2 * (1.0 + jnp.sqrt(B + 0.75)) ** 2
    return (S - r * B - m) ** 2 / variance
