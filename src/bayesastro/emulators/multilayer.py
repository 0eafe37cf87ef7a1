"""Networks that all outputs share, for these or for the amplitudes of their principal components."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayesastro.emulators.grid import Grid
from bayesastro.emulators.settings import EmulatorSettings, normal
from bayesastro.inference.engine import require_positive
from bayesastro.simulators.emulators.forms import Activation, Domain, Emulator, Perceptron, PrincipalComponents, layered

__all__ = ["Components", "Multilayer"]


def _layers(key: Array, widths: Sequence[int]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Weights, of shape (outputs, inputs), and offsets of layers between widths."""
    pairs = list(itertools.pairwise(widths))
    keys = jax.random.split(key, len(pairs))
    # Labels go from −½ to ½ and not to ±2, as what follows does.
    weights = tuple(
        (4.0 if i == 0 else 1.0) * normal(k, (b, a), a) for i, (k, (a, b)) in enumerate(zip(keys, pairs, strict=True))
    )
    return weights, tuple(jnp.zeros(b) for _, b in pairs)


@dataclass(frozen=True, kw_only=True)
class Multilayer(EmulatorSettings):
    """A network of layers that all outputs share: quick, and the first thing to try.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the layers.
    activation : str
    learning_rate, batch_size, max_epochs
        Of Adam; the rate falls to zero over all epochs.
    validation_fraction, held_out_fraction
        Of the points: to choose the epoch by, and to say in the end how far the emulator is off.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesastro.emulators import Multilayer
    >>> labels = np.random.default_rng(1).uniform([4000.0, 2.0], [7000.0, 5.0], (300, 2))
    >>> depth = 1e-4 * labels[:, :1] * labels[:, 1:]
    >>> flux = 1.0 - depth * np.exp(-0.5 * np.linspace(-3, 3, 30) ** 2)
    >>> trained = Multilayer(hidden=(32,), max_epochs=100).train(labels, flux, ["Teff", "logg"], progress=False)
    >>> bool(trained.accuracy.table.loc["emulator", "rms"] < 0.05)
    True
    """

    hidden: tuple[int, ...] = (256, 256)
    activation: Activation = "silu"

    def _fixed(self, grid: Grid) -> Any:
        return ()

    def _initial(self, key: Array, num_labels: int, num_targets: int) -> Any:
        return _layers(key, (num_labels, *self.hidden, num_targets))

    def _loss(self, params: Any, fixed: Any, scaled: Array, targets: Array, key: Array) -> Array:
        weights, offsets = params
        return jnp.mean(jnp.square(layered(weights, offsets, self.activation, scaled) - targets))

    def _emulator(self, params: Any, fixed: Any, grid: Grid, error: Float[np.ndarray, "..."]) -> Emulator:
        return self._perceptron(params, grid.domain, grid.mean, grid.scale, error)

    def _perceptron(
        self,
        params: Any,
        domain: Domain,
        mean: Float[ArrayLike, "..."],
        scale: Float[ArrayLike, "..."],
        error: Float[np.ndarray, "..."],
    ) -> Perceptron:
        weights, offsets = params
        mean, scale = np.asarray(mean), np.asarray(scale)
        return Perceptron(
            domain=domain,
            weights=weights,
            offsets=offsets,
            mean=mean,
            scale=scale,
            error=error,
            activation=self.activation,
        )


@dataclass(frozen=True, kw_only=True)
class Components(Multilayer):
    """A network for the amplitudes of principal components: for outputs by the thousand that few shapes make up.

    Parameters
    ----------
    num_components : int
        At most as many as there are points or outputs.
    hidden, activation, learning_rate, batch_size, max_epochs, validation_fraction, held_out_fraction
        As for :class:`Multilayer`.
    """

    num_components: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_components")

    def _fixed(self, grid: Grid) -> Any:
        off = (grid.outputs[grid.training] - grid.mean) / grid.scale
        return scipy.linalg.svd(off, full_matrices=False)[2][: self.num_components]

    def _targets(self, grid: Grid, fixed: Any) -> Float[np.ndarray, "m p"]:
        # Divided so that squares of amplitudes, and not those of outputs, have the mean one.
        return super()._targets(grid, fixed) @ fixed.T / self._unit(grid, fixed)

    def _limits(self, grid: Grid, fixed: Any) -> dict[str, Float[np.ndarray, "m n"]]:
        off = grid.outputs[grid.held_out] - grid.mean
        return {f"{len(fixed)} components": grid.mean + off @ fixed.T @ fixed}

    def _unit(self, grid: Grid, fixed: Any) -> float:
        return float(np.sqrt(grid.outputs.shape[1] / len(fixed)))

    def _emulator(self, params: Any, fixed: Any, grid: Grid, error: Float[np.ndarray, "..."]) -> Emulator:
        scale = grid.scale * self._unit(grid, fixed)
        amplitudes = self._perceptron(params, grid.domain, 0.0, scale, np.zeros(()))
        return PrincipalComponents(  # pyright: ignore[reportCallIssue]: `domain` is a property
            amplitudes=amplitudes, mean=grid.mean, components=fixed, error=error
        )
