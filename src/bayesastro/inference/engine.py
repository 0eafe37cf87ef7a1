"""The contract of an inference engine: a resumable sequence of blocks.

An engine is a frozen dataclass of settings with pure functions

    init(views, key, data, start)                   -> state
    advance(views, key, state, data, num_steps)     -> state, block
    finish(views, state, rows)                      -> Draws

A *step* is the engine's own unit (a transition, a shrinkage, an optimisation step). `advance` makes `num_steps` of
them, at most :meth:`Engine.block_size`; the driver chooses the number so that a block takes about a second. The key of
step t is ``fold_in(key, t)``: how steps are grouped into blocks never changes a draw, and a resumed run repeats an
uninterrupted one bit by bit.

A block is a count and a dict of arrays whose first `count` rows are new. The driver gathers the rows on the host, shows
progress, writes checkpoints and stops on request; an engine does none of that.

The functions are compiled by JAX and work on arrays alone. An engine over another library sets ``is_traced = False``:
they then run as they are, on NumPy arrays, and the state is still a pytree of arrays, generators' states included.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import numpy as np

from bayesastro.extras import missing
from bayesastro.hints import told
from bayesastro.problem import Problem, Views
from bayesastro.program import Data
from bayesastro.refusals import CAPABILITIES
from bayesastro.settings import Settings

__all__ = ["Block", "Draws", "Engine", "Progress", "Rows"]

Rows = Mapping[str, np.ndarray]
"""Gathered rows of all blocks: arrays with the rows along the leading axis."""

ChartName = Literal["unconstrained", "centred", "white"]


class Block(NamedTuple):
    """What one call of `advance` produced: the first `count` rows of each array are new."""

    count: Any
    rows: dict[str, Any]


class Progress(NamedTuple):
    """Where a run stands: steps done and in all, what goes on, and figures worth showing.

    `unit` is what is counted, in the singular; `under_way` how much of what is not counted yet is done, for the speed and the bar;
    `together` how many are under way at once, and end at once.
    """

    done: int
    total: int
    phase: str
    figures: dict[str, float]
    unit: str = "step"
    under_way: float = 0.0
    together: int = 0


@dataclass(frozen=True)
class Draws:
    """Equal-weight draws, and what else a run has to report.

    Parameters
    ----------
    coordinates : array, shape (chain, draw, size)
        Draws in the coordinates of `chart`.
    chart : str
        ``"unconstrained"``, ``"centred"`` or ``"white"``.
    sample_stats : dict of str to array, shape (chain, draw, ...)
        Under ArviZ's names.
    points : dict of str to (coordinates, variables)
        Further groups of points in the same chart: coordinates of shape (point, size) and variables by point.
    tables : dict of str to (dimension, variables)
        Further groups of plain numbers: the name of their leading axis, and arrays along it.
    attributes : dict
        Numbers about the run as a whole, such as ``log_evidence``.
    """

    coordinates: np.ndarray
    chart: ChartName
    sample_stats: dict[str, np.ndarray] = field(default_factory=dict)
    points: dict[str, tuple[np.ndarray, dict[str, np.ndarray]]] = field(default_factory=dict)
    tables: dict[str, tuple[str, dict[str, np.ndarray]]] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Engine(Settings, ABC):
    """An inference algorithm with its settings; abstract.

    Class attributes
    ----------------
    needs : frozenset of str
        What the engine asks of a problem; a subset of ``refusals.CAPABILITIES``.
    exactness : str
        ``"exact"``, ``"biased"``, ``"variational"``, ``"amortised"`` or ``"amortised+is"``; a property where it depends
        on the settings.
    references : tuple of str
        Papers to cite.
    chart : str
        The coordinates that the engine walks in.
    max_size : int
        Parameters beyond which the engine is of no use, whatever its settings.
    package : str
        What it needs of an extra, if anything; named in :mod:`bayesastro.extras`.
    is_traced : bool
        Whether JAX can trace `init` and `advance`.
    is_batched : bool
        Whether it fits many data sets in one call of :meth:`fit_batch`, faster than by `init` and `advance`.
    """

    needs: ClassVar[frozenset[str]]
    exactness: ClassVar[Any]
    references: ClassVar[tuple[str, ...]]
    chart: ClassVar[ChartName] = "unconstrained"
    max_size: ClassVar[int] = 10**9
    package: ClassVar[str] = ""
    is_traced: ClassVar[bool] = True
    is_batched: ClassVar[bool] = False

    @property
    def is_local(self) -> bool:
        """Whether it serves a part of the prior only; global calibration then means nothing."""
        return False

    @classmethod
    def refusal(cls, problem: Problem) -> str:
        """Why this engine cannot run the problem, with the remedy; empty if it can."""
        from bayesastro.inference import engines  # the package's own list, known only once all engines are loaded

        reason = cls._unmet(problem) or missing(cls.package)
        if not reason:
            return ""
        others = [f"`{e.__name__}`" for e in engines() if not e._unmet(problem) and not missing(e.package)]
        return f"`{cls.__name__}` {reason}{f', or use {_either(others)}' if others else ''}."

    @classmethod
    def _unmet(cls, problem: Problem) -> str:
        """What the problem lacks for this engine, and the remedy."""
        for need in sorted(cls.needs - problem.provides):
            return f"needs {CAPABILITIES[need]}, but {problem.lacks[need]}"
        sizes = {site.name: int(np.prod(site.free_shape or ())) for site in problem.parameters}
        if sum(sizes.values()) <= cls.max_size:
            return ""
        largest = max(sizes, key=lambda name: sizes[name])
        return (
            f"is for up to {cls.max_size} parameters, but the program has {sum(sizes.values())}, of which site "
            f"`{largest}` has {sizes[largest]}. Use fewer parameters"
        )

    def validate(self, problem: Problem) -> None:
        """Raise, before anything is compiled, if the problem or the settings do not fit.

        Raises
        ------
        ValueError
        ImportError
            If only a package is missing.
        """
        if reason := self.refusal(problem):
            raise ValueError(reason) if self._unmet(problem) else ImportError(reason)

    def check_axes(self, problem: Problem, axes: Data) -> None:  # most engines take whatever is stacked
        """Raise if data sets of a batch may not differ in what `axes` says is stacked (0, else None).

        Raises
        ------
        ValueError
        """

    def settings(self) -> dict[str, Any]:
        """The settings by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def side_by_side(self) -> "Engine":
        """The engine with the settings that suit data sets fitted side by side: whatever one does, all wait for."""
        return self

    @abstractmethod
    def block_size(self, views: Views) -> int:
        """The largest number of steps one call of `advance` may make; bounds its memory."""

    @abstractmethod
    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> Any:
        """The state before the first step: a pytree of arrays.

        Parameters
        ----------
        start : array, shape (num_points, size), or None
            Draws of another engine, in the coordinates of `chart`, to start from instead of the prior.
        """

    @abstractmethod
    def advance(self, views: Views, key: jax.Array, state: Any, data: Data, num_steps: jax.Array) -> tuple[Any, Block]:
        """Make `num_steps` more steps."""

    @abstractmethod
    def started(self, state: Any) -> np.ndarray:
        """For each chain or particle set, whether `init` found a point of finite density."""

    @abstractmethod
    def progress(self, state: Any) -> Progress:
        """Where the run stands; finished when ``done == total``. An engine that cannot know `total` estimates it."""

    @abstractmethod
    def finish(self, views: Views, state: Any, rows: Rows) -> Draws:
        """Turn the gathered rows into draws."""

    def fit_batch(self, views: Views, keys: jax.Array, data: Data, axes: Data) -> "list[Draws | None]":
        """Fit many data sets, for engines that are `is_batched`; what comes of one depends on its key alone.

        Parameters
        ----------
        keys : array of keys, shape (data set,)
        data : Data
            With the data sets along the leading axis where `axes` is 0; where it is None all share an array.

        Returns
        -------
        list of Draws
            None where a fit failed.
        """
        raise NotImplementedError(f"`{type(self).__name__}` does not fit data sets in batches.")


def _either(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def require_positive(engine: Any, *names: str) -> None:
    """Raise unless the named settings are whole numbers of at least one.

    Raises
    ------
    ValueError
    """
    for name in names:
        value = getattr(engine, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(
                f"`{type(engine).__name__}` needs `{name}` to be a whole number of at least 1, but {told(value)} came."
            )
