r"""Photon spectra integrated over energy bins, and their sums and products.

A spectrum is called with the edges of energy bins [keV] and gives photons per bin [cm⁻² s⁻¹]; a factor gives a number per
bin. Integrals over bins are exact, or by Gauss–Legendre quadrature in log energy with the error stated. Factors such as
absorption multiply a bin as a whole, an error of second order in its width.

References
----------
Arnaud (1996), ASP Conf. Ser. 101, 17 (XSPEC, whose normalisations these are).
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc
from jaxtyping import Array, Float

__all__ = [
    "BlackBody",
    "CutoffPowerLaw",
    "GaussianLine",
    "PowerLaw",
    "Product",
    "Spectrum",
    "Sum",
    "Transmission",
    "bin_integral",
]

BLACK_BODY = 1.0344e-3
"""XSPEC's constant [cm⁻² s⁻¹ keV⁻³], so that radii compare with published ones; that of SI is 0.35 % larger, 1.0380e-3."""

Spectrum = Callable[[Float[Array, " m"]], Float[Array, " m-1"]]
"""Photons per bin, or a factor per bin, of the edges."""

Scalar = Any


def bin_integral(
    density: Callable[[Array], Array], edges: Float[Array, " m"], *, order: int = 3
) -> Float[Array, " m-1"]:
    r"""Integral of a density over bins, by Gauss–Legendre quadrature in log energy.

    Parameters
    ----------
    density : callable
        Of energies [keV] of any shape, elementwise.
    edges : array, shape (n + 1,) [keV]
        Positive and increasing.
    order : int
        Nodes in each bin. Three give a cut-off power law or black body to 1e-10 in bins no wider than a tenth of their
        energy and of kT or the cut-off, and to 1e-7 in bins of a fifth of their energy below ten times kT.
    """
    nodes, weights = np.polynomial.legendre.leggauss(order)
    middle, half = _log_bins(edges)
    energy = middle[:, None] * jnp.exp(half[:, None] * jnp.asarray(nodes, edges.dtype))
    return half * ((density(energy) * energy) @ jnp.asarray(weights, edges.dtype))


def _log_bins(edges: Array) -> tuple[Array, Array]:
    """Geometric middles, and half the logarithms of the ratios of the edges."""
    low, high = edges[:-1], edges[1:]
    return jnp.sqrt(low * high), 0.5 * jnp.log(high / low)


def _sinhc(x: Array) -> Array:
    """sinh(x)/x, by its series near 0."""
    is_small = jnp.abs(x) < 0.05
    safe = jnp.where(is_small, 1.0, x)
    x2 = x**2
    series = 1.0 + x2 / 6.0 * (1.0 + x2 / 20.0 * (1.0 + x2 / 42.0 * (1.0 + x2 / 72.0)))
    return jnp.where(is_small, series, jnp.sinh(safe) / safe)


class PowerLaw(eqx.Module):
    r"""A power law, :math:`f(E) = K (E / \mathrm{keV})^{-\Gamma}`, integrated exactly for every Γ.

    With the geometric middle E and :math:`h = \frac12 \ln(E_2/E_1)` of a bin, :math:`a = 1 - \Gamma`:

    .. math:: \int f \, dE = 2 K h \, E^a \, \frac{\sinh a h}{a h}

    Parameters
    ----------
    photon_index : scalar
    norm : scalar [photons cm⁻² s⁻¹ keV⁻¹ at 1 keV]
    """

    photon_index: Scalar
    norm: Scalar

    def __call__(self, edges: Float[Array, " m"]) -> Float[Array, " m-1"]:
        middle, half = _log_bins(edges)
        power = 1.0 - jnp.asarray(self.photon_index)
        return 2.0 * self.norm * half * jnp.exp(power * jnp.log(middle)) * _sinhc(power * half)


class CutoffPowerLaw(eqx.Module):
    r"""A power law with an exponential cut-off, :math:`f(E) = K E^{-\Gamma} e^{-E/E_c}`.

    Differences of incomplete gamma functions cancel in narrow bins and do not exist for Γ = 1, 2, …; quadrature of the
    positive integrand has neither fault.

    Parameters
    ----------
    photon_index : scalar
    cutoff : scalar [keV]
        E_c, positive.
    norm : scalar [photons cm⁻² s⁻¹ keV⁻¹ at 1 keV, without the cut-off]
    """

    photon_index: Scalar
    cutoff: Scalar
    norm: Scalar

    def __call__(self, edges: Float[Array, " m"]) -> Float[Array, " m-1"]:
        def density(energy: Array) -> Array:
            return self.norm * jnp.exp(-self.photon_index * jnp.log(energy) - energy / self.cutoff)

        return bin_integral(density, edges)


class BlackBody(eqx.Module):
    r"""A black body by its radius, XSPEC's ``bbodyrad``.

    .. math:: f(E) = 1.0344 \times 10^{-3} \, K \, \frac{E^2}{e^{E/kT} - 1}

    Parameters
    ----------
    kT : scalar [keV]
        Positive.
    norm : scalar
        :math:`K = (R / \mathrm{km})^2 / (D / 10\,\mathrm{kpc})^2`.
    """

    kT: Scalar
    norm: Scalar

    def __call__(self, edges: Float[Array, " m"]) -> Float[Array, " m-1"]:
        def density(energy: Array) -> Array:
            x = energy / self.kT
            return BLACK_BODY * self.norm * energy**2 * jnp.exp(-x) / -jnp.expm1(-x)  # e^x would overflow

        return bin_integral(density, edges)


class GaussianLine(eqx.Module):
    r"""A line of Gaussian profile, integrated exactly.

    Parameters
    ----------
    energy, sigma : scalars [keV]
        Centre and standard deviation, which is positive.
    norm : scalar [photons cm⁻² s⁻¹]
        In the whole line.
    """

    energy: Scalar
    sigma: Scalar
    norm: Scalar

    def __call__(self, edges: Float[Array, " m"]) -> Float[Array, " m-1"]:
        z = (edges - self.energy) / (jnp.sqrt(2.0) * self.sigma)
        low, high = z[:-1], z[1:]
        # By symmetry above the line, where differences of one minus something small would be all rounding.
        low, high = jnp.where(low > 0, -high, low), jnp.where(low > 0, -low, high)
        return 0.5 * self.norm * (erfc(-high) - erfc(-low))


class Transmission(eqx.Module):
    r"""Photoelectric absorption, :math:`e^{-N_H \sigma(E)}`, in the bins that the cross-sections are of.

    Parameters
    ----------
    nH : scalar [10²² cm⁻²]
        Column density of hydrogen.
    cross_section : array, shape (n,) [10⁻²² cm²]
        Per hydrogen atom, of each bin.
    """

    nH: Scalar
    cross_section: Float[Array | np.ndarray, " n"]

    def __call__(self, edges: Float[Array, " m"]) -> Float[Array, " m-1"]:
        return jnp.exp(-self.nH * jnp.asarray(self.cross_section))


class Sum(eqx.Module):
    """Of spectra."""

    parts: tuple[Spectrum, ...]

    def __call__(self, edges: Float[Array, " m"]) -> Float[Array, " m-1"]:
        return jnp.sum(jnp.stack([part(edges) for part in self.parts]), 0)


class Product(eqx.Module):
    """Of a spectrum and any number of factors."""

    parts: tuple[Spectrum, ...]

    def __call__(self, edges: Float[Array, " m"]) -> Float[Array, " m-1"]:
        return jnp.prod(jnp.stack([part(edges) for part in self.parts]), 0)
