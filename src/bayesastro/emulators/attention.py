"""One network that is asked about each wavelength."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayesastro.emulators.grid import Grid
from bayesastro.emulators.settings import EmulatorSettings, normal
from bayesastro.inference.engine import require_positive
from bayesastro.simulators.emulators.attention import (
    AttentionBlock,
    AttentionWeights,
    WavelengthAttention,
    attended,
    wavelength_code,
)
from bayesastro.simulators.emulators.forms import Emulator

__all__ = ["Attention"]


@dataclass(frozen=True, kw_only=True)
class Attention(EmulatorSettings):
    """One network that is asked about each wavelength; slower, ahead where spectra to learn from are few.

    Parameters
    ----------
    width : int
        Of the network; a multiple of `num_heads`.
    num_tokens : int
        That the labels become.
    num_layers, num_heads : int
        Of attention.
    num_frequencies : int
        In which a wavelength is written.
    num_wavelengths : int
        Drawn anew for each step.
    learning_rate, batch_size, max_epochs, validation_fraction, held_out_fraction
        As for :class:`Multilayer`.

    References
    ----------
    Różański, Ting & Jabłońska 2025, ApJ 980, 66 (arXiv:2407.05751).
    """

    width: int = 64
    num_tokens: int = 16
    num_layers: int = 3
    num_heads: int = 4
    num_frequencies: int = 64
    num_wavelengths: int = 256
    batch_size: int = 16
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("width", "num_tokens", "num_layers", "num_heads", "num_frequencies", "num_wavelengths")
        require_positive(self, *names)
        if self.width % self.num_heads:
            raise ValueError(f"`width` must be a multiple of `num_heads`, but {self.width} and {self.num_heads} came.")

    def _fixed(self, grid: Grid) -> Any:
        if grid.wavelength is None:
            raise ValueError("`Attention` needs `wavelength`, one for each output.")
        if len(grid.wavelength) < 2:
            raise ValueError("`Attention` needs at least two wavelengths, but one came.")
        with jax.enable_x64(True):
            return np.asarray(wavelength_code(grid.wavelength, *self._code(grid)))

    def _code(self, grid: Grid) -> tuple[float, float, int, float]:
        at = np.asarray(grid.wavelength)
        # Waves of four steps at least: shorter ones would be free between the wavelengths.
        return float(at[0]), float(at[-1]), self.num_frequencies, 2 * float(np.diff(np.log(at)).min())

    def _targets(self, grid: Grid, fixed: Any) -> Float[np.ndarray, "m p"]:
        return (grid.outputs - grid.mean.mean()) / grid.scale

    def _initial(self, key: Array, num_labels: int, num_targets: int) -> Any:
        d, t, h = self.width, self.num_tokens, self.num_heads
        keys = iter(jax.random.split(key, 5 + 6 * self.num_layers))
        blocks = tuple(
            AttentionBlock(
                query=normal(next(keys), (h, d, d // h), d),
                key=normal(next(keys), (h, d, d // h), d),
                value=normal(next(keys), (h, d, d // h), d),
                merged=normal(next(keys), (h, d // h, d), d),
                inner=normal(next(keys), (d, 2 * d), d),
                inner_offset=jnp.zeros(2 * d),
                outer=normal(next(keys), (2 * d, d), 2 * d),
                outer_offset=jnp.zeros(d),
            )
            for _ in range(self.num_layers)
        )
        return AttentionWeights(
            entry=4.0 * normal(next(keys), (num_labels, d), num_labels),
            entry_offset=jnp.zeros(d),
            tokens=normal(next(keys), (d, t, d), d),
            tokens_offset=jnp.zeros((t, d)),
            code=normal(next(keys), (2 * self.num_frequencies, d), self.num_frequencies),
            code_offset=jnp.zeros(d),
            blocks=blocks,
            head=normal(next(keys), (d, d), d),
            head_offset=jnp.zeros(d),
            out=normal(next(keys), (d,), d),
            out_offset=jnp.zeros(()),
        )

    def _loss(self, params: Any, fixed: Any, scaled: Array, targets: Array, key: Array) -> Array:
        num = targets.shape[1]
        columns = jax.random.choice(key, num, (min(self.num_wavelengths, num),), replace=False)
        found = jax.vmap(lambda one: attended(params, one, fixed[columns]))(scaled)
        return jnp.mean(jnp.square(found - targets[:, columns]))

    def _emulator(self, params: Any, fixed: Any, grid: Grid, error: Float[np.ndarray, "..."]) -> Emulator:
        low, high, _, finest = self._code(grid)
        return WavelengthAttention(
            domain=grid.domain,
            wavelength=np.asarray(grid.wavelength),
            weights=params,
            finest=finest,
            ends=(low, high),
            mean=np.asarray(grid.mean.mean()),
            scale=np.asarray(grid.scale),
            error=error,
        )
