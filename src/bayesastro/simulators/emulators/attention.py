"""An emulator that asks labels about each wavelength: attention, with one network for all pixels.

References
----------
Różański, Ting & Jabłońska 2025, ApJ 980, 66 (arXiv:2407.05751): wavelengths as queries, labels as tokens.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayesastro.simulators.emulators.forms import Domain, Emulator

__all__ = ["AttentionBlock", "AttentionWeights", "WavelengthAttention", "attended", "wavelength_code"]


class AttentionBlock(NamedTuple):
    """Weights of one attention and of the two layers after it; `d` is the width, `t` heads times their width.

    Parameters
    ----------
    query, key, value : arrays, shape (heads, d, d / heads)
    merged : array, shape (heads, d / heads, d)
    inner, inner_offset : arrays, shapes (d, 2 d) and (2 d,)
    outer, outer_offset : arrays, shapes (2 d, d) and (d,)
    """

    query: Float[Array | np.ndarray, "h d e"]
    key: Float[Array | np.ndarray, "h d e"]
    value: Float[Array | np.ndarray, "h d e"]
    merged: Float[Array | np.ndarray, "h e d"]
    inner: Float[Array | np.ndarray, "d f"]
    inner_offset: Float[Array | np.ndarray, " f"]
    outer: Float[Array | np.ndarray, "f d"]
    outer_offset: Float[Array | np.ndarray, " d"]


class AttentionWeights(NamedTuple):
    """What is learnt.

    Parameters
    ----------
    entry, entry_offset : arrays, shapes (k, d) and (d,)
        Of the labels.
    tokens, tokens_offset : arrays, shapes (d, tokens, d) and (tokens, d)
    code, code_offset : arrays, shapes (codes, d) and (d,)
        Of the wavelength.
    blocks : tuple of AttentionBlock
    head, head_offset : arrays, shapes (d, d) and (d,)
    out, out_offset : arrays, shapes (d,) and ()
    """

    entry: Float[Array | np.ndarray, "k d"]
    entry_offset: Float[Array | np.ndarray, " d"]
    tokens: Float[Array | np.ndarray, "d t d"]
    tokens_offset: Float[Array | np.ndarray, "t d"]
    code: Float[Array | np.ndarray, "c d"]
    code_offset: Float[Array | np.ndarray, " d"]
    blocks: tuple[AttentionBlock, ...]
    head: Float[Array | np.ndarray, "d d"]
    head_offset: Float[Array | np.ndarray, " d"]
    out: Float[Array | np.ndarray, " d"]
    out_offset: Float[Array | np.ndarray, ""]


def wavelength_code(
    wavelength: Float[ArrayLike, " n"], low: float, high: float, num_frequencies: int, finest: float
) -> Float[Array, "n c"]:
    """Sines and cosines of log wavelength, with periods from twice the whole range to twice the finest.

    Parameters
    ----------
    wavelength : array, shape (n,)
    low, high : float
        The range.
    num_frequencies : int
    finest : float
        Half the least period in log wavelength.
    """
    x = jnp.log1p((jnp.asarray(wavelength) - low) / low)[:, None]
    frequency = np.pi * np.geomspace(1.0 / np.log(high / low), 1.0 / finest, num_frequencies)
    return jnp.concatenate([jnp.sin(frequency * x), jnp.cos(frequency * x)], axis=1)


def _normalised(values: Float[Array, "... d"]) -> Float[Array, "... d"]:
    centred = values - values.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-6)


def attended(weights: AttentionWeights, scaled: Float[Array, " k"], code: Float[Array, "n c"]) -> Float[Array, " n"]:
    """Outputs at each wavelength's code, for one set of labels scaled to the box."""
    w = weights
    inside = jax.nn.gelu(scaled @ jnp.asarray(w.entry) + w.entry_offset)
    tokens = _normalised(jnp.einsum("d,dte->te", inside, w.tokens) + w.tokens_offset)
    state = code @ jnp.asarray(w.code) + w.code_offset
    for block in w.blocks:
        query = jnp.einsum("nd,hde->hne", _normalised(state), block.query)
        key, value = (jnp.einsum("td,hde->hte", tokens, part) for part in (block.key, block.value))
        share = jax.nn.softmax(jnp.einsum("hne,hte->hnt", query, key) / np.sqrt(key.shape[-1]), axis=-1)
        state = state + jnp.einsum("hnt,hte,hed->nd", share, value, block.merged)
        hidden = jax.nn.gelu(_normalised(state) @ jnp.asarray(block.inner) + block.inner_offset)
        state = state + hidden @ jnp.asarray(block.outer) + block.outer_offset
    return jax.nn.gelu(_normalised(state) @ jnp.asarray(w.head) + w.head_offset) @ jnp.asarray(w.out) + w.out_offset


class WavelengthAttention(Emulator):
    """One network for all wavelengths, which are a part of its input: it can be asked between those it was trained on.

    Parameters
    ----------
    domain : Domain
    wavelength : array, shape (n,)
        Where a call gives outputs.
    weights : AttentionWeights
    finest : float
        See :func:`wavelength_code`.
    ends : (float, float)
        The wavelengths between which it was trained.
    mean, scale : scalars
        The network's output is in units of `scale`, from `mean` on.
    error : scalar or array, shape (n,)
    """

    domain: Domain
    wavelength: Float[Array | np.ndarray, " n"]
    weights: AttentionWeights
    finest: float = eqx.field(static=True)
    ends: tuple[float, float] = eqx.field(static=True)
    mean: Float[Array | np.ndarray, ""] = eqx.field(default_factory=lambda: np.zeros(()))
    scale: Float[Array | np.ndarray, ""] = eqx.field(default_factory=lambda: np.ones(()))
    error: Float[Array | np.ndarray, "..."] = eqx.field(default_factory=lambda: np.zeros(()))

    def evaluated(self, scaled: Float[Array, "... k"]) -> Float[Array, "... n"]:
        """Outputs at labels scaled to the box."""
        return self._at(scaled, jnp.asarray(self.wavelength))

    def at(self, labels: Float[ArrayLike, "... k"], wavelength: Float[ArrayLike, " m"]) -> Float[Array, "... m"]:
        """Outputs at labels and any wavelengths of its range; NaN outside of the one or the other.

        Parameters
        ----------
        labels : array, shape (..., k)
        wavelength : array, shape (m,)
            In the unit of those that it was trained on.
        """
        labels, asked = jnp.asarray(labels), jnp.asarray(wavelength)
        inside = self.domain.contains(labels)[..., None] & (asked >= self.ends[0]) & (asked <= self.ends[1])
        within = self.domain.contains(labels)[..., None]
        return jnp.where(inside, self._at(jnp.where(within, self.domain.scaled(labels), 0.0), asked), jnp.nan)

    def _at(self, scaled: Float[Array, "... k"], wavelength: Float[Array, " m"]) -> Float[Array, "... m"]:
        code = wavelength_code(wavelength, *self.ends, self.weights.code.shape[0] // 2, self.finest)
        flat = scaled.reshape(-1, scaled.shape[-1])
        found = jax.vmap(lambda one: attended(self.weights, one, code))(flat)
        return jnp.asarray(self.mean) + jnp.asarray(self.scale) * found.reshape(*scaled.shape[:-1], wavelength.shape[0])
