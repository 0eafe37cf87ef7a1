"""Grids with the modes that a field on them is made of, and regular ones of any number of dimensions.

On a regular grid a field is the Hartley transform of its modes, :math:`f(x) = \\sum_k \\hat f_k \\, [\\cos(2\\pi k x) + \\sin(2\\pi k x)]`, which
for a real field is as good as Fourier's and needs no complex numbers. Modes of the same length :math:`|k|` share one
amplitude: a grid holds the lengths without repetition, how many modes have each, and which each mode has.

References
----------
Arras et al. 2022, Nature Astronomy 6, 259 (arXiv:2002.05218), methods (modes and their spectrum); Bracewell 1983, J. Opt.
Soc. Am. 73, 1832.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayesastro.simulators.convolution import fast_lengths

__all__ = ["ModeGrid", "RegularGrid", "regular_grid"]

SAME_LENGTH = 1e-12
"""Modes whose lengths differ by less than this part of the longest have the same."""


class ModeGrid(eqx.Module):
    """Pixels and the modes of fields on them; abstract.

    Parameters
    ----------
    mode_length : array, shape (k,)
        Lengths of modes, rising from 0.
    multiplicity : array, shape (k,)
        How many modes have each length.
    mode_index : array of int, shape of the modes
        Place in `mode_length` of each mode.
    shape : tuple of int
        Of the pixels.
    """

    mode_length: Float[Array | np.ndarray, " k"]
    multiplicity: Float[Array | np.ndarray, " k"]
    mode_index: Int[Array | np.ndarray, "..."]
    shape: eqx.AbstractVar[tuple[int, ...]]

    @property
    def harmonic_shape(self) -> tuple[int, ...]:
        """Shape of the modes."""
        return tuple(self.mode_index.shape)

    @property
    def log_mode_length(self) -> Float[Array, " nonzero"]:
        """Logarithms of the lengths but the first, which is 0, in units of the second."""
        return jnp.log(jnp.asarray(self.mode_length)[1:] / jnp.asarray(self.mode_length)[1])

    @abstractmethod
    def synthesised(self, modes: Float[Array, "..."], first_axis: int = 0) -> Float[Array, "..."]:
        """The field of given modes.

        Parameters
        ----------
        modes : array
            Of `harmonic_shape` from `first_axis` on; other axes are carried along.
        first_axis : int
        """


class RegularGrid(ModeGrid):
    """A regular grid and its modes; see :func:`regular_grid`.

    Modes have the shape of the padded grid, and lengths in waves per unit of length.

    Parameters
    ----------
    shape : tuple of int
    distances : tuple of float
        Between pixels, in any unit of length.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    distances: tuple[float, ...] = eqx.field(static=True)

    @property
    def volume(self) -> float:
        """Of the padded grid, in units of length to the power of its dimensions."""
        return math.prod(n * d for n, d in zip(self.harmonic_shape, self.distances, strict=True))

    def synthesised(self, modes: Float[Array, "..."], first_axis: int = 0) -> Float[Array, "..."]:
        """The field of given modes, without its padding; see :meth:`ModeGrid.synthesised`."""
        axes = tuple(range(first_axis, first_axis + len(self.shape)))
        transformed = jnp.fft.fftn(modes, axes=axes)
        kept = (slice(None),) * first_axis + tuple(slice(n) for n in self.shape)
        return (transformed.real + transformed.imag)[kept]


def regular_grid(
    shape: int | Sequence[int], distances: float | Sequence[float], *, padding: float = 1.0
) -> RegularGrid:
    """A grid with its modes.

    Parameters
    ----------
    shape : int or tuple of int
    distances : float or tuple of float
        Between pixels along each axis; one for all axes.
    padding : float
        The field is made on a grid larger by this factor along each axis, and cut, for what leaves a periodic grid on one
        side comes back on the other.

    Raises
    ------
    ValueError
        If there are fewer than two pixels along an axis, a distance is not positive, or the padding is below one.
    """
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not sizes or any(int(n) != n or n < 2 for n in sizes):
        raise ValueError(f"`shape` must be whole numbers of at least 2, but {shape} came.")
    try:
        spacing = tuple(float(d) for d in np.broadcast_to(distances, len(sizes)))
    except ValueError:
        raise ValueError(
            f"`distances` must be one number or one for each of {len(sizes)} axes, but {distances} came."
        ) from None
    if not all(math.isfinite(d) and d > 0 for d in spacing):
        raise ValueError(f"`distances` must be positive, but {distances} came.")
    if not (math.isfinite(padding) and padding >= 1):
        raise ValueError(f"`padding` must be at least 1, but {padding} came.")
    sizes = tuple(int(n) for n in sizes)
    padded = sizes if padding == 1 else fast_lengths(*(math.ceil(padding * n) for n in sizes))
    length, index = _modes(padded, spacing)
    count = np.bincount(index.ravel(), minlength=len(length)).astype(float)
    return RegularGrid(length, count, index, sizes, spacing)


def _modes(shape: tuple[int, ...], distances: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Lengths without repetition, and the place of each mode's length among them."""
    halves = [np.arange(n // 2 + 1) / (n * d) for n, d in zip(shape, distances, strict=True)]
    lengths = np.sqrt(sum(k**2 for k in np.meshgrid(*halves, indexing="ij", sparse=True)))
    known = np.unique(lengths)
    known = known[np.diff(np.append(known, 2 * known[-1])) > SAME_LENGTH * known[-1]]
    index = np.searchsorted(0.5 * (known[:-1] + known[1:]), lengths).astype(np.int32)
    # A mode of negative wave number is as long as that of the positive.
    mirrored = [np.minimum(np.arange(n), n - np.arange(n)) for n in shape]
    return known, index[np.ix_(*mirrored)]
