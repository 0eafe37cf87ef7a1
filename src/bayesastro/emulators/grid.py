"""A user's grid of labels and outputs, checked and divided into what is learnt from and what is not."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from bayesastro.simulators.emulators.forms import Domain

__all__ = ["LEAST_POINTS", "Grid", "checked_grid"]

LEAST_POINTS = 30
"""Of a grid that something is learnt from."""


class Grid(NamedTuple):
    """Points and how they are divided.

    Parameters
    ----------
    domain : Domain
    scaled : array, shape (m, k)
        Labels from −½ to ½.
    outputs : array, shape (m, n)
    wavelength : array, shape (n,), optional
    training, validation, held_out : arrays of int
    """

    domain: Domain
    scaled: Float[np.ndarray, "m k"]
    outputs: Float[np.ndarray, "m n"]
    wavelength: Float[np.ndarray, " n"] | None
    training: Int[np.ndarray, " a"]
    validation: Int[np.ndarray, " b"]
    held_out: Int[np.ndarray, " c"]

    @property
    def labels(self) -> Float[np.ndarray, "m k"]:
        """In their units."""
        low, high = np.asarray(self.domain.low), np.asarray(self.domain.high)
        return low + (self.scaled + 0.5) * (high - low)

    @property
    def mean(self) -> Float[np.ndarray, " n"]:
        """Of each output, where one learns."""
        return self.outputs[self.training].mean(axis=0)

    @property
    def scale(self) -> float:
        """Root mean square about the mean of all outputs, where one learns."""
        return float(np.sqrt(self.outputs[self.training].var(axis=0).mean()))


def checked_grid(
    labels: Float[ArrayLike, "m k"],
    outputs: Float[ArrayLike, "m n"],
    names: Sequence[str],
    wavelength: Float[ArrayLike, " n"] | None,
    fractions: tuple[float, float],
    seed: int,
) -> Grid:
    """The grid, with a random part to validate with, and another held out.

    Raises
    ------
    ValueError
        If shapes differ, names are not one for each label, there are too few points, a number is not finite, a label or
        all outputs are constant, or wavelengths do not rise.
    """
    at, seen, names = np.asarray(labels, float), np.asarray(outputs, float), tuple(names)
    if at.ndim != 2 or seen.ndim != 2 or len(at) != len(seen):
        raise ValueError(
            f"A grid needs labels of shape (points, labels) and outputs of shape (points, outputs), but {at.shape} and "
            f"{seen.shape} came."
        )
    if len(names) != at.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"`names` must be different names, one for each of {at.shape[1]} labels, but {names} came.")
    if len(at) < LEAST_POINTS:
        raise ValueError(f"An emulator is learnt from at least {LEAST_POINTS} points, but {len(at)} came.")
    broken = ~(np.isfinite(at).all(axis=1) & np.isfinite(seen).all(axis=1))
    if broken.any():
        raise ValueError(
            f"{broken.sum()} of {len(at)} points have labels or outputs that are not finite, the first being row "
            f"{np.flatnonzero(broken)[0]}. Leave out simulations that failed."
        )
    low, high = at.min(axis=0), at.max(axis=0)
    if constant := [name for name, is_one in zip(names, low == high, strict=True) if is_one]:
        raise ValueError(f"The labels {constant} have the same value at all points. Leave them out.")
    if np.ptp(seen, axis=0).max() == 0:
        raise ValueError("The outputs are the same at all points: there is nothing to learn.")
    if wavelength is not None:
        wavelength = np.asarray(wavelength, float)
        if wavelength.shape != (seen.shape[1],) or not (np.diff(wavelength) > 0).all() or wavelength[0] <= 0:
            raise ValueError(
                f"`wavelength` must be {seen.shape[1]} positive numbers that rise, one for each output, but shape "
                f"{wavelength.shape} came."
            )
    order = np.random.default_rng(seed).permutation(len(at))
    num = [max(1, round(fraction * len(at))) for fraction in fractions]
    held_out, validation, training = np.split(order, [num[1], num[1] + num[0]])
    domain = Domain(names, low, high)
    return Grid(domain, (at - low) / (high - low) - 0.5, seen, wavelength, training, validation, held_out)
