r"""Fluxes of galaxies in broad bands, by a network that learnt them from a code of spectral energy distributions.

.. math:: \ln f = W_L \, r(\ldots r(W_1 x + b_1) \ldots) + b_L, \qquad r(u) = \max(u, 0.01 u)

A network says nothing of places where it was not trained: outside its domain it returns NaN, and `require_within` refuses.
"""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

__all__ = ["CIGALE_INPUTS", "CIGALE_OUTPUTS", "SedEmulator", "cigale_emulator", "scaled_log_flux"]

LEAK = 0.01

SLACK = 1e-9
"""Of the width of the domain: rounding at its edges."""

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
    weights : tuple of arrays, shapes (n_in, n_out)
    biases : tuple of arrays, shapes (n_out,)
    lower, upper : arrays, shape (n,)
        The domain of the inputs.
    inputs, outputs : tuples of str
    """

    weights: tuple[Float[Array | np.ndarray, "_ _"], ...]
    biases: tuple[Float[Array | np.ndarray, " _"], ...]
    lower: Float[Array | np.ndarray, " _"]
    upper: Float[Array | np.ndarray, " _"]
    inputs: tuple[str, ...] = eqx.field(static=True)
    outputs: tuple[str, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        sizes = (self.weights[0].shape[0], self.weights[-1].shape[1])
        if sizes != (len(self.inputs), len(self.outputs)) or not self.lower.shape == self.upper.shape == (sizes[0],):
            raise ValueError(
                f"The network has {sizes[0]} inputs and {sizes[1]} outputs, but names of {len(self.inputs)} and "
                f"{len(self.outputs)} came, with bounds of shapes {self.lower.shape} and {self.upper.shape}."
            )

    def __call__(self, theta: Float[Array | np.ndarray, "... n"]) -> Float[Array, "... m"]:
        """Logarithms of fluxes [ln mJy] of inputs in the order of `inputs`; NaN outside the domain."""
        hidden = theta
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = jax.nn.leaky_relu(hidden @ jnp.asarray(weight) + jnp.asarray(bias), LEAK)
        out = hidden @ jnp.asarray(self.weights[-1]) + jnp.asarray(self.biases[-1])
        return jnp.where(self.within(theta)[..., None], out, jnp.nan)

    def within(self, theta: Float[Array | np.ndarray, "... n"]) -> Bool[Array, "..."]:
        """Whether inputs lie in the domain."""
        theta, lower, upper = jnp.asarray(theta), jnp.asarray(self.lower), jnp.asarray(self.upper)
        slack = SLACK * (upper - lower)
        return ((theta >= lower - slack) & (theta <= upper + slack)).all(-1)

    def require_within(self, name: str, values: Float[np.ndarray, "..."] | float) -> None:
        """Refuse values of an input outside the domain.

        Raises
        ------
        ValueError
            If there is no such input, or a value lies outside its range or is NaN.
        """
        if name not in self.inputs:
            raise ValueError(f"`{name}` is no input of the emulator; it has {list(self.inputs)}.")
        place = self.inputs.index(name)
        lower, upper = float(self.lower[place]), float(self.upper[place])
        values = np.atleast_1d(np.asarray(values, float))
        outside = ~((values >= lower) & (values <= upper))
        if outside.any():
            raise ValueError(
                f"The emulator was trained with `{name}` from {lower:g} to {upper:g} and knows nothing outside, but "
                f"{outside.sum()} of {values.size} values are, as {values[outside][0]:g}. Leave such sources to the flat prior."
            )


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
    place = emulator.inputs.index("log_sfr")
    log_sfr = inputs["log_sfr"]
    nearest = jnp.clip(log_sfr, emulator.lower[place], emulator.upper[place])
    theta = jnp.stack([(dict(inputs) | {"log_sfr": nearest})[name] for name in emulator.inputs], axis=-1)
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
    lower, upper = np.array(list(CIGALE_INPUTS.values())).T
    return SedEmulator(tuple(weights), tuple(biases), lower, upper, tuple(CIGALE_INPUTS), CIGALE_OUTPUTS)
