"""Draws of one run as points for another to start from."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import xarray as xr

from bayesastro.batch import Batch
from bayesastro.charts import Chart
from bayesastro.fingerprint import data_fingerprint
from bayesastro.inference.engine import Engine
from bayesastro.precision import Precision, native, to_numpy, working_precision
from bayesastro.problem import Problem
from bayesastro.program import Data
from bayesastro.result import legal_name, number_of_data_sets, require_one, variable_units
from bayesastro.units import require_same

__all__ = ["BatchStart", "draws_fingerprint", "origin", "start_points"]

MAX_POINTS = 1024
"""Most draws of a result that another run starts from."""

MOST_AT_ONCE = 2**16
"""Unknowns that are turned into coordinates at once: inverse distribution functions take a hundred times their memory."""

MAX_POINTS_OF_MANY = 256
"""The same for each data set of a batch."""


def draws_fingerprint(result: xr.DataTree) -> str:
    """SHA-256 of all posterior draws of a result; the same after it was saved and read."""
    posterior = result["posterior"].to_dataset() if "posterior" in result.children else xr.Dataset()
    return data_fingerprint({str(name): variable.values for name, variable in posterior.items()})


def origin(start: xr.DataTree | None) -> dict[str, Any]:
    """What the attributes of a result say of the one that it started from, if it did: engine, seed, fingerprint of its draws."""
    if start is None:
        return {}
    known = {f"start_{name}": start.attrs[name] for name in ("engine", "seed") if name in start.attrs}
    return known | {"start_fingerprint": draws_fingerprint(start)}


def start_points(problem: Problem, engine: Engine, start: xr.DataTree, precision: Precision) -> np.ndarray:
    """Draws of a result in the coordinates of an engine's chart, for another run to start from.

    Returns
    -------
    array, shape (num_points, size)
        At most `MAX_POINTS`, evenly taken over chains and draws.

    Raises
    ------
    TypeError
        If it is no result.
    ValueError
        If the result lacks a latent site of the problem, has another shape of one, is of several data sets, or has no
        finite draw.
    """
    require_one(start, "`start`")
    points = _points(problem, engine, problem.data, _draws(problem, start, MAX_POINTS), precision)
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        raise ValueError("No draw of `start` lies within the priors of the problem. Start from another result.")
    return points


class BatchStart:
    """Points to start from for every data set of a batch, made when they are needed.

    Parameters
    ----------
    batch : Batch
    engine : Engine
    start : DataTree
        Of `fit_many` on a batch of the same size, each data set of which starts from its own draws; or of `fit`, from
        whose draws all start.
    precision : {"double", "single"}

    Raises
    ------
    ValueError
        If the result lacks a latent site, has another shape of one, or is of another number of data sets.
    """

    def __init__(self, batch: Batch, engine: Engine, start: xr.DataTree, precision: Precision) -> None:
        self.batch, self.engine = batch, engine
        self.precision: Precision = precision
        size = number_of_data_sets(start)
        if size not in (None, batch.size):
            raise ValueError(
                f"`start` is of {size} data sets, but the batch has {batch.size}. Start from a result of the same data sets."
            )
        self.is_common = size is None
        self.draws = _draws(batch.problem, start, MAX_POINTS_OF_MANY, 0 if self.is_common else 1)

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Points of the data sets of these numbers, shape (data set, point, size); NaN where none is finite."""
        return np.stack([self._of_one(int(n)) for n in numbers])

    def fingerprint(self) -> str:
        """SHA-256 of the draws."""
        return data_fingerprint(self.draws)

    def _of_one(self, number: int) -> np.ndarray:
        draws = self.draws if self.is_common else {name: values[number] for name, values in self.draws.items()}
        points = _points(self.batch.problem, self.engine, self.batch.take(number), draws, self.precision)
        good = np.flatnonzero(np.isfinite(points).all(1))
        # As many for every data set: those outside the priors make room for others a second time.
        return points[np.resize(good, len(points))] if len(good) else np.full_like(points, np.nan)


def _draws(problem: Problem, start: xr.DataTree, most: int, num_leading: int = 0) -> dict[str, np.ndarray]:
    """Values of every latent site, shape (..., draw, *site)."""
    posterior = start["posterior"].to_dataset() if "posterior" in start.children else xr.Dataset()
    if posterior.sizes.get("chain", 0) * posterior.sizes.get("draw", 0) == 0:
        raise ValueError("`start` has no posterior draws. Give the result of a run that got as far as drawing.")
    require_same(posterior, variable_units(problem), "`start`")
    theta = {}
    for site in problem.parameters:
        name = legal_name(site.name)
        if name not in posterior:
            raise ValueError(
                f"`start` has no `{name}`, which the problem samples; it has "
                f"{', '.join(f'`{other}`' for other in posterior)}. Start from a result of the same parameters, or let the "
                "others come from the prior: `start=start_from(problem, result, seed=…)`."
            )
        values = native(posterior[name])  # of a run in single precision too
        if values.shape[num_leading + 2 :] != site.shape:
            raise ValueError(
                f"`{site.name}` has shape {values.shape[num_leading + 2 :]} in `start`, but {site.shape} in the problem. "
                "Start from a result of the same shapes."
            )
        leading, number = values.shape[:num_leading], int(np.prod(values.shape[num_leading : num_leading + 2]))
        flat = values.reshape(*leading, number, *site.shape)
        chosen = np.linspace(0, number - 1, min(number, most)).astype(int)
        theta[site.name] = np.take(flat, chosen, axis=num_leading)
    return theta


def _points(
    problem: Problem, engine: Engine, data: Data, draws: dict[str, np.ndarray], precision: Precision
) -> np.ndarray:
    chart = getattr(problem.views(precision), engine.chart)
    with working_precision(precision):
        return to_numpy(_to_coordinates(chart)(draws, data))


@functools.lru_cache(maxsize=32)
def _to_coordinates(chart: Chart) -> Callable[..., Any]:
    at_once = min(max(MOST_AT_ONCE // chart.size, 1), MAX_POINTS)
    return jax.jit(
        lambda draws, data: jax.lax.map(lambda theta: chart.to_coordinates(theta, data), draws, batch_size=at_once)
    )
