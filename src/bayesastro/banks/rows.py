"""The rows of a bank as the program makes them, and the way between their coordinates and the parameters."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.banks.store import Rows, array_name
from bayesastro.banks.truncation import Within, drawn_within
from bayesastro.charts import Chart
from bayesastro.families import value_mask
from bayesastro.precision import Precision, to_numpy, working_precision
from bayesastro.problem import Problem
from bayesastro.program import Data
from bayesastro.structure import generate
from bayesastro.views import Views

__all__ = ["CONVERTED", "Plan", "blocks", "coordinates_at", "dtypes_of", "parameters_at", "rows_of"]

CONVERTED = 1024
"""Rows between whose coordinates and parameters one compiled call goes."""


class Plan(NamedTuple):
    """How the rows of a bank are made.

    Attributes
    ----------
    precision : {"double", "single"}
    seed : int
    block : int
        Rows made together, by one compiled program: row i is in block ``i // block``.
    masks : mapping of str to array
        Of the observed sites that have one.
    within : mapping of str to (array, array)
        Bounds of the latent sites that have some.
    """

    precision: Precision
    seed: int
    block: int
    masks: Mapping[str, np.ndarray]
    within: Within


def rows_of(problem: Problem, plan: Plan, start: int, stop: int) -> Rows:
    """Rows `start` to `stop`, all at once."""
    parts = list(blocks(problem, plan, start, stop))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def blocks(problem: Problem, plan: Plan, start: int, stop: int) -> Iterator[Rows]:
    """Rows `start` to `stop`, block by block.

    Raises
    ------
    ValueError
        If a mask differs from one row to another.
    MemoryError
        If a block does not fit into memory.
    """
    names = {site.name: array_name(site.name) for site in problem.views().structure.of_kind("observed")}
    with working_precision(plan.precision):
        data = jax.device_put(problem.data)
    for first in range(start - start % plan.block, stop, plan.block):
        coordinates, observed, is_failed, masks = _block(problem, data, plan, first)
        for name, mask in masks.items():
            if not (mask == plan.masks[name]).all():
                raise ValueError(
                    f"The mask of site `{name}` depends on latent sites, so that what is missing says something of them. "
                    "Make the mask an argument of the program, or what is missing a site of its own."
                )
        kept = slice(max(start - first, 0), min(stop - first, plan.block))
        rows = {"coordinates": coordinates.astype(float), "is_failed": is_failed}
        rows |= {names[name]: values for name, values in observed.items()}
        yield {name: values[kept] for name, values in rows.items()}


def dtypes_of(problem: Problem, precision: Precision) -> dict[str, np.dtype]:
    """What the observed sites' values are, by name."""
    return {name: np.dtype(leaf.dtype) for name, leaf in _shapes(problem, precision)[1].items()}


def parameters_at(problem: Problem, coordinates: np.ndarray) -> dict[str, np.ndarray]:
    """Values of the latent sites at coordinates of shape (row, coordinate)."""
    return _converted(_to_parameters(problem.unconstrained), coordinates, problem.data)


def coordinates_at(problem: Problem, theta: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Coordinates of values of the latent sites, and what the coordinates give back: the same, within the support."""
    return _converted(_to_coordinates(problem.unconstrained), dict(theta), problem.data)


def _converted(convert: Callable[..., Any], rows: Any, data: Data) -> Any:
    """Apply a compiled function to rows, always so many at a time."""
    number, parts = len(jax.tree.leaves(rows)[0]), []
    with working_precision("double"):
        for start in range(0, max(number, 1), CONVERTED):
            part = jax.tree.map(lambda values, start=start: values[start : start + CONVERTED], rows)
            length = min(number - start, CONVERTED)
            padded = jax.tree.map(lambda v, n=length: np.pad(v, [(0, CONVERTED - n)] + [(0, 0)] * (v.ndim - 1)), part)
            parts.append(jax.tree.map(lambda values, n=length: values[:n], to_numpy(convert(padded, data))))
    return jax.tree.map(lambda *pieces: np.concatenate(pieces), *parts)


@functools.lru_cache(maxsize=32)
def _to_parameters(chart: Chart) -> Callable[..., Any]:
    return jax.jit(jax.vmap(chart.to_parameters, in_axes=(0, None)))


@functools.lru_cache(maxsize=32)
def _to_coordinates(chart: Chart) -> Callable[..., Any]:
    def there_and_back(theta: Mapping[str, Any], data: Data) -> Any:
        coordinates = chart.to_coordinates(theta, data)
        return coordinates, chart.to_parameters(coordinates, data)

    return jax.jit(jax.vmap(there_and_back, in_axes=(0, None)))


def _shapes(problem: Problem, precision: Precision) -> Any:
    with working_precision(precision):
        key = jax.random.key(0)
        return jax.eval_shape(_simulator(problem.views(precision), 1), problem.data, {}, key, jnp.uint32(0))


def _block(problem: Problem, data: Data, plan: Plan, first: int) -> Any:
    with working_precision("double"):
        key = jax.random.key(plan.seed)  # in single precision it would lose the seed's upper half
    with working_precision(plan.precision):
        simulator = _simulator(problem.views(plan.precision), plan.block)
        try:
            return to_numpy(simulator(data, dict(plan.within), key, jnp.uint32(first)))
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # the latter where JAX was not waited for
            if "RESOURCE_EXHAUSTED" in str(error):
                raise MemoryError(
                    f"{plan.block} simulations together do not fit into memory. Give `chunk` a smaller number."
                ) from error
            if told := re.search(r"^RuntimeError: (The external function .*)", str(error), re.MULTILINE):
                raise RuntimeError(told[1]) from error
            raise


@functools.lru_cache(maxsize=32)
def _simulator(views: Views, block: int) -> Callable[..., Any]:
    """So many rows from a given one on, by data, bounds and key, compiled."""
    structure, chart = views.structure, views.unconstrained
    sites = [site.name for site in structure.of_kind("observed")]

    def row(data: Data, within: Any, key: jax.Array) -> Any:
        with generate(structure.program, data, key, None, drawn_within(within, key)) as trace:
            values = {name: trace[name]["value"] for name in sites}
            masks = {name: value_mask(trace[name]["fn"], values[name]) for name in sites}
            # Masked values would tell a network of the parameters what real data do not.
            values = {n: _where(masks[n], v) for n, v in values.items()}
            coordinates = chart.coordinates_of(trace, data)
            finite = [jnp.isfinite(v).all() for v in (coordinates, *values.values())]
            return coordinates, values, ~jnp.stack(finite).all(), {n: m for n, m in masks.items() if m is not None}

    def rows(data: Data, within: Any, key: jax.Array, first: jax.Array) -> Any:
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(first + jnp.arange(block, dtype=jnp.uint32))
        return jax.vmap(row, in_axes=(None, None, 0))(data, within, keys)

    return jax.jit(rows)


def _where(mask: jax.Array | None, value: jax.Array) -> jax.Array:
    return value if mask is None else jnp.where(mask, value, 0)
