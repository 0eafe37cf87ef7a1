"""Batches: many data sets of one program, stacked along a leading axis for :func:`bayesastro.fit_many`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.hints import did_you_mean
from bayesastro.names import check_observed_names
from bayesastro.precision import working_precision
from bayesastro.problem import Problem
from bayesastro.program import Data, checked_array, data_set
from bayesastro.structure import Structure
from bayesastro.units import plain, require_unmasked

__all__ = ["Batch", "stack"]


@dataclass(frozen=True)
class Batch:
    """A stack of data sets; made by :meth:`bayesastro.Problem.batch`.

    Attributes
    ----------
    problem : Problem
        The program on the first data set; all share its shapes.
    data : Data
        Arrays with the data sets along the leading axis where they are stacked, and without it where all share them.
    axes : Data
        For each array, 0 where it is stacked, else None; the ``in_axes`` of ``jax.vmap``.
    size : int
        Number of data sets.
    """

    problem: Problem
    data: Data
    axes: Data
    size: int

    def __repr__(self) -> str:
        stacked = [n for n, a in zip(self.problem.static_program.array_names, self.axes.arrays, strict=True) if a == 0]
        stacked += [n for n, a in self.axes.observed.items() if a == 0]
        return f"Batch({self.size} data sets of {self.problem!r}; stacked: {', '.join(stacked)})"

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Problem:
        """The problem on one data set."""
        if not -self.size <= index < self.size:
            raise IndexError(f"The batch has {self.size} data sets, but number {index} was asked for.")
        return self.problem.with_data(self.take(index))

    def take(self, index: Any) -> Data:
        """Data of one data set, or of several along the leading axis (an array of numbers, a slice)."""
        return data_set(self.data, self.axes, index)


def stack(
    problem: Problem, arguments: Mapping[str, Any], observed: Mapping[str, Any] | None, mask: str | None
) -> Batch:
    """See :meth:`bayesastro.Problem.batch`."""
    names = problem.static_program.array_names
    for name in [*arguments, *([mask] if mask else [])]:
        if name not in names:
            raise ValueError(
                f"`batch` was given `{name}`, but the program's array arguments are {list(names)}.{did_you_mean(name, names)}"
            )
    check_observed_names(problem.views().structure, observed or {})
    given = {("argument", name): values for name, values in arguments.items()}
    given |= {("observed", name): values for name, values in (observed or {}).items()}
    named = {key: _data_sets(values, *key, problem.units) for key, values in given.items()}
    if not named:
        raise ValueError("`batch` needs at least one array with the data sets along its leading axis.")
    sizes = {len(values) for values in named.values()}
    if len(sizes) > 1 or 0 in sizes:
        lengths = ", ".join(f"`{name}` {len(values)}" for (_, name), values in named.items())
        raise ValueError(f"The arrays of a batch must hold the same number of data sets, but they hold: {lengths}.")
    ragged = {key: _lengths(values) for key, values in named.items()}
    if any(len(set(lengths)) > 1 for lengths in ragged.values() if lengths) and mask is None:
        raise ValueError(
            "The data sets differ in length. Give `mask` the name of the program's argument that tells real points "
            "(True) from padding (False), and use it there in `numpyro.handlers.mask`."
        )
    if mask is not None:
        named |= _padded(named, ragged, mask)
    stacked = {key: checked_array(np.asarray(values), f"{key[0]} `{key[1]}`") for key, values in named.items()}
    template = problem.data
    arrays = tuple(stacked.get(("argument", n), a) for n, a in zip(names, template.arrays, strict=True))
    axes = tuple(0 if ("argument", n) in stacked else None for n in names)
    sites = {**template.observed, **{name: array for (kind, name), array in stacked.items() if kind == "observed"}}
    site_axes = {name: 0 if ("observed", name) in stacked else None for name in sites}
    size = sizes.pop()
    batch = Batch(problem, Data(arrays, sites), Data(axes, site_axes), size)
    first = problem.with_data(batch.take(0))
    batch = Batch(first, batch.data, batch.axes, size)
    _check_domains(batch)
    return batch


def _data_sets(values: Any, kind: str, name: str, units: Mapping[str, str]) -> Any:
    """The data sets as plain numbers."""
    require_unmasked(values, f"The {kind} `{name}`")
    values = plain(values, name, units)
    if not isinstance(values, list | tuple) and np.ndim(values) == 0:
        raise ValueError(
            f"`batch` needs the {kind} `{name}` with the data sets along its leading axis, but one number came. Arguments that all "
            "data sets share are left out."
        )
    return values


def _lengths(values: Sequence[Any]) -> list[int]:
    return [len(v) if np.ndim(v) else 0 for v in values]


def _padded(
    named: Mapping[tuple[str, str], Any], ragged: Mapping[tuple[str, str], list[int]], mask: str
) -> dict[tuple[str, str], np.ndarray]:
    """Every array that has one value a point, filled up by its own last value; and the mask."""
    lengths = next(lengths for lengths in ragged.values() if any(lengths))
    longest = max(lengths)
    padded: dict[tuple[str, str], np.ndarray] = {}
    for (kind, name), values in named.items():
        if ragged[kind, name] == lengths:
            rows = [np.asarray(v) for v in values]
            # An error of zero would be refused, so padding repeats a real value.
            padded[kind, name] = np.stack([np.concatenate([r, np.repeat(r[-1:], longest - len(r), 0)]) for r in rows])
    padded["argument", mask] = np.arange(longest) < np.asarray(lengths)[:, None]
    return padded


def _check_domains(batch: Batch) -> None:
    """Raise if a parameter or an observed value of some data set lies outside its domain, and say in which."""
    structure = batch.problem.views().structure
    with working_precision("double"):
        violated = jax.jit(jax.vmap(lambda data, key: _violations(structure, data, key), in_axes=(batch.axes, None)))
        suspects = np.flatnonzero(np.asarray(violated(batch.data, jax.random.key(1))))
    for index in suspects:
        try:
            batch[int(index)]  # judges by several draws from the prior
        except ValueError as error:
            raise ValueError(f"Data set {index} of the batch: {error}") from None


def _violations(structure: Structure, data: Data, key: jax.Array) -> jax.Array:
    """Number of values outside their domains in one draw from the prior."""
    reports = structure.report(data, key).values()
    return sum(
        (check["count"] for report in reports for check in report.get("checks", {}).values()), jnp.zeros((), int)
    )
