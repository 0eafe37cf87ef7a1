"""What the ways to train an emulator share: the points, the descent, and how far off it is in the end."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayesastro.emulators.accuracy import Accuracy, measured
from bayesastro.emulators.grid import Grid, checked_grid
from bayesastro.emulators.training import History, descend
from bayesastro.inference.engine import require_positive
from bayesastro.simulators.emulators.forms import Emulator

__all__ = ["EmulatorSettings", "TrainedEmulator", "normal"]


@dataclass(frozen=True)
class TrainedEmulator:
    """An emulator, how far it is off at points it never saw, and how it was trained.

    Attributes
    ----------
    emulator : Emulator
        Its `error` is the root mean square of what it is off, for each output.
    accuracy : Accuracy
    history : History
    """

    emulator: Emulator
    accuracy: Accuracy
    history: History


@dataclass(frozen=True, kw_only=True)
class EmulatorSettings(ABC):
    """How to train an emulator; abstract.

    Parameters
    ----------
    learning_rate, batch_size, max_epochs, validation_fraction, held_out_fraction
        See :class:`Multilayer`.
    """

    learning_rate: float = 5e-3
    batch_size: int = 64
    max_epochs: int = 400
    validation_fraction: float = 0.1
    held_out_fraction: float = 0.1

    def __post_init__(self) -> None:
        require_positive(self, "batch_size", "max_epochs")
        for name in ("learning_rate", "validation_fraction", "held_out_fraction"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive, but {getattr(self, name)!r} came.")
        if self.validation_fraction + self.held_out_fraction > 0.6:
            raise ValueError(
                "`validation_fraction` and `held_out_fraction` must leave 0.4 of the grid to learn from, but "
                f"{self.validation_fraction} and {self.held_out_fraction} came."
            )

    def train(
        self,
        labels: Float[ArrayLike, "m k"],
        outputs: Float[ArrayLike, "m n"],
        names: Sequence[str],
        *,
        wavelength: Float[ArrayLike, " n"] | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> TrainedEmulator:
        """Train on a user's grid, regular or not.

        A part of the points says which epoch was the best, and another, which is never looked at until then, how far the
        emulator is off. The box of the labels becomes its domain. Ctrl-C ends with the best epoch so far, and a warning.

        Parameters
        ----------
        labels : array, shape (m, k)
            One row for each point of the grid.
        outputs : array, shape (m, n)
            What the simulator gives there, all in one unit.
        names : sequence of str
            Of the labels; programs use them as names of sites.
        wavelength : array, shape (n,), optional
            Of the outputs, in any unit; :class:`Attention` needs it.
        seed : int
        progress : bool

        Raises
        ------
        ValueError
            If shapes differ, there are too few points, a number is not finite, or a label does not vary.
        """
        fractions = self.validation_fraction, self.held_out_fraction
        grid = checked_grid(labels, outputs, names, wavelength, fractions, seed)
        fixed = self._fixed(grid)
        targets = self._targets(grid, fixed)
        best, history = descend(
            self._loss,
            self._initial(jax.random.key(seed), grid.scaled.shape[1], targets.shape[1]),
            fixed,
            *((grid.scaled[among], targets[among]) for among in (grid.training, grid.validation)),
            name=type(self).__name__,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            seed=seed,
            progress=progress,
        )
        learnt = jax.tree.map(lambda leaf: np.asarray(leaf, float), best)
        limits = self._limits(grid, fixed)
        emulator, accuracy = measured(lambda error: self._emulator(learnt, fixed, grid, error), grid, limits)
        return TrainedEmulator(emulator, accuracy, history)

    @abstractmethod
    def _fixed(self, grid: Grid) -> Any:
        """What the loss needs of the grid besides its points."""

    def _targets(self, grid: Grid, fixed: Any) -> Float[np.ndarray, "m p"]:
        """What is learnt: outputs about their mean, in units in which the loss of zero is one."""
        return (grid.outputs - grid.mean) / grid.scale

    def _limits(self, grid: Grid, fixed: Any) -> dict[str, Float[np.ndarray, "m n"]]:
        """What outputs that are held out could be at best, for the table of accuracy."""
        return {}

    @abstractmethod
    def _initial(self, key: Array, num_labels: int, num_targets: int) -> Any:
        """Parameters to begin with."""

    @abstractmethod
    def _loss(self, params: Any, fixed: Any, scaled: Array, targets: Array, key: Array) -> Array:
        """Mean square of what is off."""

    @abstractmethod
    def _emulator(self, params: Any, fixed: Any, grid: Grid, error: Float[np.ndarray, "..."]) -> Emulator:
        """The emulator of some parameters."""


def normal(key: Array, shape: tuple[int, ...], fan_in: int) -> Array:
    """Weights of a layer: normal, with a variance of one over the number of inputs."""
    return jax.random.normal(key, shape) / np.sqrt(fan_in)
