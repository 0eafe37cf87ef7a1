r"""Emulators: functions of a few labels that stand for a costly simulator, with an error and a domain of their own.

An emulator is known on a box of labels. Outside it has no answer, and gives NaN; programs give labels priors within the box.
How far it is off, as its maker measured it, belongs to the model: a part of the standard deviation of what is observed.

References
----------
Ting et al. 2019, ApJ 879, 69 (arXiv:1804.01530), section 2 (a small network for each pixel).
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Domain",
    "Emulator",
    "Perceptron",
    "PixelNetworks",
    "PrincipalComponents",
    "layered",
]

Activation = Literal["sigmoid", "silu", "tanh", "gelu", "leaky_relu"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "leaky_relu": jax.nn.leaky_relu,
}


SLACK = 1e-9
"""Of the width of a domain: rounding at its edges."""


class Domain(eqx.Module):
    """The box of labels on which an emulator is known.

    Parameters
    ----------
    names : tuple of str
    low, high : arrays, shape (k,)
    """

    names: tuple[str, ...] = eqx.field(static=True)
    low: Float[Array | np.ndarray, " k"]
    high: Float[Array | np.ndarray, " k"]

    def scaled(self, labels: Float[Array, "... k"]) -> Float[Array, "... k"]:
        """Labels from −½ to ½."""
        return (labels - self.low) / (jnp.asarray(self.high) - self.low) - 0.5

    def contains(self, labels: Float[Array, "... k"]) -> Bool[Array, "..."]:
        """Whether labels lie in the box."""
        slack = SLACK * (jnp.asarray(self.high) - self.low)
        return jnp.all((labels >= self.low - slack) & (labels <= self.high + slack), axis=-1)

    def require(self, name: str, values: Float[ArrayLike, "..."]) -> None:
        """Refuse values of a label outside the box.

        Raises
        ------
        ValueError
            If there is no such label, or a value lies outside its range or is NaN.
        """
        if name not in self.names:
            raise ValueError(f"`{name}` is no label of the emulator; it has {list(self.names)}.")
        place = self.names.index(name)
        low, high = float(self.low[place]), float(self.high[place])
        known = np.atleast_1d(np.asarray(values, float))
        outside = known[~((known >= low) & (known <= high))]
        if outside.size:
            raise ValueError(
                f"The emulator knows `{name}` from {low:g} to {high:g} and nothing outside, but {outside.size} of {known.size} "
                f"values are, as {outside[0]:g}."
            )


class Emulator(eqx.Module):
    """Labels to outputs; abstract.

    Parameters
    ----------
    domain : Domain
    error : scalar or array, shape (n,)
        Standard deviation of what the emulator is off, in units of its outputs.
    """

    domain: eqx.AbstractVar[Domain]
    error: eqx.AbstractVar[Float[Array | np.ndarray, "..."]]

    @abstractmethod
    def evaluated(self, scaled: Float[Array, "... k"]) -> Float[Array, "... n"]:
        """Outputs at labels scaled to the box."""

    def __call__(self, labels: Float[ArrayLike, "... k"]) -> Float[Array, "... n"]:
        """Outputs at labels; NaN outside of the domain.

        Parameters
        ----------
        labels : array, shape (..., k)
            In the order of ``domain.names``.
        """
        labels = jnp.asarray(labels)
        inside = self.domain.contains(labels)[..., None]
        return jnp.where(inside, self.evaluated(jnp.where(inside, self.domain.scaled(labels), 0.0)), jnp.nan)


class PixelNetworks(Emulator):
    """A network with one hidden layer of its own for each output.

    Parameters
    ----------
    domain : Domain
    hidden : array, shape (n, h, k)
    hidden_offset : array, shape (n, h)
    output : array, shape (n, h)
    output_offset : array, shape (n,)
    error : scalar or array, shape (n,)
    activation : str
    """

    domain: Domain
    hidden: Float[Array | np.ndarray, "n h k"]
    hidden_offset: Float[Array | np.ndarray, "n h"]
    output: Float[Array | np.ndarray, "n h"]
    output_offset: Float[Array | np.ndarray, " n"]
    error: Float[Array | np.ndarray, "..."] = eqx.field(default_factory=lambda: np.zeros(()))
    activation: Activation = eqx.field(static=True, default="sigmoid")

    def evaluated(self, scaled: Float[Array, "... k"]) -> Float[Array, "... n"]:
        """Outputs at labels scaled to the box."""
        inside = jnp.einsum("nhk,...k->...nh", self.hidden, scaled) + self.hidden_offset
        return jnp.sum(self.output * ACTIVATIONS[self.activation](inside), axis=-1) + self.output_offset


def layered(
    weights: Sequence[Float[Array | np.ndarray, "..."]],
    offsets: Sequence[Float[Array | np.ndarray, "..."]],
    activation: Activation,
    values: Float[Array, "... k"],
) -> Float[Array, "... n"]:
    """Layers one after the other, with the activation between them; weights of shape (outputs, inputs)."""
    for weight, offset in zip(weights[:-1], offsets[:-1], strict=True):
        values = ACTIVATIONS[activation](values @ jnp.asarray(weight).T + offset)
    return values @ jnp.asarray(weights[-1]).T + offsets[-1]


class Perceptron(Emulator):
    """A network of several layers that all outputs share.

    Parameters
    ----------
    domain : Domain
    weights : tuple of array, shape (outputs of a layer, inputs)
    offsets : tuple of array
    mean, scale : scalars or arrays, shape (n,)
        The network's last layer is in units of `scale`, from `mean` on.
    error : scalar or array, shape (n,)
    activation : str
        Between layers.
    """

    domain: Domain
    weights: tuple[Float[Array | np.ndarray, "..."], ...]
    offsets: tuple[Float[Array | np.ndarray, "..."], ...]
    mean: Float[Array | np.ndarray, "..."] = eqx.field(default_factory=lambda: np.zeros(()))
    scale: Float[Array | np.ndarray, "..."] = eqx.field(default_factory=lambda: np.ones(()))
    error: Float[Array | np.ndarray, "..."] = eqx.field(default_factory=lambda: np.zeros(()))
    activation: Activation = eqx.field(static=True, default="silu")

    def evaluated(self, scaled: Float[Array, "... k"]) -> Float[Array, "... n"]:
        """Outputs at labels scaled to the box."""
        values = layered(self.weights, self.offsets, self.activation, scaled)
        return jnp.asarray(self.mean) + jnp.asarray(self.scale) * values


class PrincipalComponents(Emulator):
    """A network for the amplitudes of principal components.

    Parameters
    ----------
    amplitudes : Emulator
        Labels to amplitudes, shape (p,).
    mean : array, shape (n,)
    components : array, shape (p, n)
    error : scalar or array, shape (n,)
    """

    amplitudes: Emulator
    mean: Float[Array | np.ndarray, " n"]
    components: Float[Array | np.ndarray, "p n"]
    error: Float[Array | np.ndarray, "..."] = eqx.field(default_factory=lambda: np.zeros(()))

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        """That of the amplitudes."""
        return self.amplitudes.domain

    def evaluated(self, scaled: Float[Array, "... k"]) -> Float[Array, "... n"]:
        """Outputs at labels scaled to the box."""
        return jnp.asarray(self.mean) + self.amplitudes.evaluated(scaled) @ jnp.asarray(self.components)
