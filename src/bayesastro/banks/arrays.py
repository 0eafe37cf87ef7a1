"""Banks of simulations made elsewhere: checked, carried to unconstrained coordinates, and stored in slices."""

import shutil
from collections.abc import Mapping, Sequence
from os import getpid
from pathlib import Path
from typing import Any

import numpy as np

from bayesastro.banks.bank import Bank
from bayesastro.banks.identity import identity_of
from bayesastro.banks.rows import coordinates_at
from bayesastro.banks.store import Rows, array_name, create, open_group
from bayesastro.hints import told
from bayesastro.predictive import observed_masks
from bayesastro.problem import Problem
from bayesastro.refusals import require_coordinates
from bayesastro.structure import Site

__all__ = ["stored"]

TOLERANCE = 1e-5
"""Of a parameter, relative to the largest of its site, that goes to coordinates and back: single precision will do."""


def stored(problem: Problem, parameters: Mapping[str, Any], observed: Mapping[str, Any], path: Path | None) -> Bank:
    """See :meth:`bayesastro.Bank.from_arrays`."""
    if not isinstance(problem, Problem):
        raise TypeError(
            f"`from_arrays` needs a `Problem`, but {told(problem)} came. Make one with `Problem(program, ...)`."
        )
    require_coordinates(problem.parameters, "from_arrays")
    sites = problem.views().structure.of_kind("observed")
    if not sites:
        raise ValueError("`from_arrays` needs data, but the problem observes nothing. Give it `observed=`.")
    if path is not None and path.exists():
        raise ValueError(f"`{path}` exists. Give another `path`, or delete it.")
    given = _checked("parameters", parameters, problem.parameters) | _checked("observed", observed, sites)
    lengths = {name: array.shape[0] for name, array in given.items()}
    num = next(iter(lengths.values()))
    if set(lengths.values()) != {num} or num < 1:
        said = ", ".join(f"`{name}` {length}" for name, length in lengths.items())
        raise ValueError(f"All arrays must have the same number of rows, at least 1, but they have: {said}.")
    return _written(problem, given, num, path)


def _checked(what: str, arrays: Any, sites: Sequence[Site]) -> dict[str, Any]:
    """The arrays of the sites, as they are."""
    if not isinstance(arrays, Mapping):
        raise TypeError(f"`{what}` must map site names to arrays, but a {type(arrays).__name__} came.")
    wanted = [site.name for site in sites]
    if set(arrays) != set(wanted):
        raise ValueError(f"`{what}` must have the sites {_listed(wanted)}, but {_listed(arrays)} came.")
    return {site.name: _checked_array(what, site, arrays[site.name]) for site in sites}


def _checked_array(what: str, site: Site, array: Any) -> Any:
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        array = np.asarray(array)
    has_mask = isinstance(array, np.ndarray) and hasattr(array, "mask")
    if has_mask or getattr(array, "unit", None) is not None:
        raise TypeError(f"`{what}` has masks or units at `{site.name}`. Pass plain numbers, NaN where one is missing.")
    if np.dtype(array.dtype).kind not in "biuf" or np.dtype(array.dtype) == np.longdouble:
        raise TypeError(f"`{what}` must have real numbers at `{site.name}`, but their dtype is `{array.dtype}`.")
    if tuple(array.shape[1:]) != site.shape or not array.shape:
        raise ValueError(
            f"`{what}` must have shape (row, {', '.join(map(str, site.shape))}) at `{site.name}`, but "
            f"{tuple(array.shape)} came."
        )
    return array


def _written(problem: Problem, given: Mapping[str, Any], num: int, path: Path | None) -> Bank:
    """A new bank of the arrays; a kill on the way leaves nothing at `path`."""
    sites = [site.name for site in problem.views().structure.of_kind("observed")]
    dtypes = {name: np.dtype(given[name].dtype).newbyteorder("=") for name in sites}
    masks = observed_masks(problem)
    beside = None if path is None else path.with_name(f".{path.name}.{getpid()}.given")
    try:
        identity = identity_of(problem, None, "double")
        with create(beside, problem, identity, dtypes, masks, num=num, block=0) as writer:
            chunk = writer.header.chunk
            for start in range(0, num, chunk):
                writer.write(start, _rows(problem, given, masks, slice(start, min(start + chunk, num))))
        if path is None or beside is None:
            return Bank(writer.group, None)
        beside.rename(path)
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
    return Bank(open_group(path), path)


def _rows(problem: Problem, given: Mapping[str, Any], masks: Mapping[str, np.ndarray], place: slice) -> Rows:
    theta = {site.name: np.asarray(given[site.name][place], dtype=float) for site in problem.parameters}
    coordinates, back = coordinates_at(problem, theta)
    is_failed = ~np.isfinite(coordinates).all(1)
    for name, values in theta.items():
        flat, returned = (v.reshape(len(v), -1) for v in (values, back[name]))
        is_failed |= ~np.isfinite(flat).all(1)
        scale = np.abs(flat).max(1, initial=0.0, keepdims=True)
        with np.errstate(invalid="ignore"):
            off = np.isfinite(flat).all(1) & ~(np.abs(returned - flat) <= TOLERANCE * scale).all(1)
        # A value at an end of its support has an infinite coordinate; that is a failed row, not a wrong one.
        if (off & ~np.isinf(coordinates).any(1)).any():
            row = int(np.argmax(off))
            raise ValueError(
                f"`parameters` has {values[row].tolist()} at `{name}` in row {place.start + row}, outside the support of "
                "its prior. Give values in the program's own units, or NaN for a simulation that failed."
            )
    rows: Rows = {}
    for name in (site.name for site in problem.views().structure.of_kind("observed")):
        values = np.asarray(given[name][place])
        if name in masks:
            values = np.where(masks[name], values, np.zeros((), values.dtype))
        is_failed |= ~np.isfinite(values.reshape(len(values), -1)).all(1)
        rows[array_name(name)] = values
    return rows | {"coordinates": coordinates, "is_failed": is_failed}


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
