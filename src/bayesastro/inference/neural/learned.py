"""Engines over what was learnt from a bank; the base of `Amortised` and `Surrogate`."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import jax

from bayesastro.banks.identity import differences, program_identity_of
from bayesastro.inference.engine import Engine
from bayesastro.inference.neural import artefact
from bayesastro.inference.neural.trained import Trained
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

__all__ = ["Learned"]


@dataclass(frozen=True, kw_only=True)
class Learned(Engine):
    """An engine over trained networks; abstract.

    Class attributes
    ----------------
    kinds : tuple of str
        Of networks, see :class:`Plan`, that the engine is over.
    """

    exactness: ClassVar[str] = "amortised"
    kinds: ClassVar[tuple[str, ...]]

    @property
    def is_local(self) -> bool:
        return bool(self.trained.identity["within"])

    @property
    @abstractmethod
    def trained(self) -> Trained:
        """The networks and what belongs to them."""

    @abstractmethod
    def _kept_settings(self) -> dict[str, Any]:
        """The engine's own settings, for JSON."""

    @classmethod
    @abstractmethod
    def _restored(cls, trained: Trained, settings: Mapping[str, Any]) -> Self:
        """The engine of these networks and settings."""

    def settings(self) -> dict[str, Any]:
        return {
            "trained": self.trained.fingerprint,
            "training": dict(self.trained.settings),
            **self._kept_settings(),
        }

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        what = differences(self.trained.identity, program_identity_of(problem))
        if what:
            raise ValueError(
                f"This `{type(self).__name__}` was trained on {' and '.join(what)}. Simulate the problem to a bank, and "
                f"train `{self.trained.settings['method']}` on it."
            )

    def check_axes(self, problem: Problem, axes: Data) -> None:
        for name, axis in zip(problem.static_program.array_names, axes.arrays, strict=True):
            if axis == 0 and name in self.trained.identity["arguments"]:
                raise ValueError(
                    f"`{type(self).__name__}` was trained at one value of the argument `{name}`, but the data sets each "
                    "have their own. Make it an observed site of the program, or fit them with another engine."
                )

    def _observed(self, views: Views, data: Data) -> dict[str, Any]:
        """Values of the observed sites, those given by ``obs=`` too."""
        names = list(self.trained.shapes)
        if all(name in data.observed for name in names):
            return {name: data.observed[name] for name in names}
        report = views.structure.report(data, jax.random.key(0))
        return {name: data.observed[name] if name in data.observed else report[name]["inline"] for name in names}

    def save(self, folder: str | Path) -> None:
        """Write what was learnt to a folder of its own; an old one is replaced in one step.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        artefact.save(self.trained, self._kept_settings(), Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If nothing is there.
        ValueError
            If it is none, of another kind or version, damaged, or does not repeat its own values.
        """
        trained, settings = artefact.load(Path(folder), cls.kinds)
        return cls._restored(trained, settings)
