r"""Fluxes of galaxies in broad bands, by a network that learnt them from a code of spectral energy distributions.

.. math:: \ln f = W_L \, r(\ldots r(W_1 x + b_1) \ldots) + b_L, \qquad r(u) = \max(u, 0.01 u)

A network says nothing of places where it was not trained: outside its domain it returns NaN.
"""

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayesastro.simulators.emulators import Domain, Perceptron

__all__ = ["CIGALE_INPUTS", "CIGALE_OUTPUTS", "SedEmulator", "cigale_emulator", "scaled_log_flux"]

CIGALE_INPUTS: dict[str, tuple[float, float]] = {
    "log_sfr": (-2.0, 4.4),
    "agn_fraction": (0.0, 1.0),
    "redshift": (0.05, 6.0),
    "attenuation": (0.1, 3.6),
    "dust_slope": (0.0625, 3.9375),
    "log_tau": (2.699, 3.778),
}
"""Inputs of XID+'s emulator of CIGALE and where it was trained: log10 of the star-formation rate [M☉/yr], share of the active
nucleus in the infrared light (Fritz et al. 2006), redshift, V-band attenuation of birth clouds [mag], slope α of dust heating
(Dale et al. 2014), log10 of the star formation's e-folding time [Myr]. The ranges are those common to the notebooks and the
configuration that XID+ keeps of the training."""

CIGALE_OUTPUTS = (
    "irac_i1",
    "omegacam_g",
    "omegacam_i",
    "omegacam_r",
    "omegacam_u",
    "omegacam_z",
    "spire_250",
    "spire_350",
    "spire_500",
)
"""Bands of that emulator, in mJy."""


class SedEmulator(eqx.Module):
    """A network from physical parameters to the logarithms of fluxes.

    Parameters
    ----------
    network : Perceptron
        Its domain has the names of the inputs.
    outputs : tuple of str
    """

    network: Perceptron
    outputs: tuple[str, ...] = eqx.field(static=True)

    @property
    def domain(self) -> Domain:
        """Of the inputs."""
        return self.network.domain

    def __call__(self, theta: Float[Array | np.ndarray, "... n"]) -> Float[Array, "... m"]:
        """Logarithms of fluxes [ln mJy] of inputs in the order of the domain's names; NaN outside of it."""
        return self.network(theta)


def scaled_log_flux(
    emulator: SedEmulator, inputs: Mapping[str, Float[Array | np.ndarray, "..."]]
) -> Float[Array, "... m"]:
    """Logarithms of fluxes [ln mJy] at any star-formation rate; NaN where another input lies outside the domain.

    All else equal CIGALE's fluxes are proportional to the rate: beyond the range of the training they are those at its end,
    scaled.

    Parameters
    ----------
    emulator : SedEmulator
        With an input ``log_sfr``.
    inputs : mapping of str to array, shape (...)
        By name.
    """
    domain = emulator.domain
    place = domain.names.index("log_sfr")
    log_sfr = inputs["log_sfr"]
    nearest = jnp.clip(log_sfr, domain.low[place], domain.high[place])
    theta = jnp.stack([(dict(inputs) | {"log_sfr": nearest})[name] for name in domain.names], axis=-1)
    return emulator(theta) + jnp.log(10.0) * (log_sfr - nearest)[..., None]


def cigale_emulator(
    weights: tuple[Float[np.ndarray, "_ _"], ...], biases: tuple[Float[np.ndarray, " _"], ...]
) -> SedEmulator:
    """XID+'s emulator of CIGALE, with its inputs, bands and domain.

    Raises
    ------
    ValueError
        If the network does not have six inputs and nine outputs.

    References
    ----------
    Boquien et al. (2019), A&A 622, A103 (CIGALE); H-E-L-P/XID_plus, `CIGALE_emulator_kasia` (the network).
    """
    sizes = weights[0].shape[0], weights[-1].shape[1]
    if sizes != (len(CIGALE_INPUTS), len(CIGALE_OUTPUTS)):
        raise ValueError(
            f"The network must have {len(CIGALE_INPUTS)} inputs and {len(CIGALE_OUTPUTS)} outputs, but one of {sizes[0]} and "
            f"{sizes[1]} came."
        )
    low, high = np.array(list(CIGALE_INPUTS.values())).T
    # Of inputs scaled to the domain: the first layer takes their range and middle in.
    first, offset = (high - low)[:, None] * weights[0], biases[0] + 0.5 * (low + high) @ weights[0]
    network = Perceptron(
        domain=Domain(tuple(CIGALE_INPUTS), low, high),
        weights=tuple(weight.T for weight in (first, *weights[1:])),
        offsets=(offset, *biases[1:]),
        activation="leaky_relu",
    )
    return SedEmulator(network, CIGALE_OUTPUTS)
