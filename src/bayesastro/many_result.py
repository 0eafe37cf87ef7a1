"""The result of many fits: ArviZ's groups with a leading dimension ``dataset``."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayesastro.batch import Batch
from bayesastro.inference.engine import Engine, Rows
from bayesastro.precision import Precision
from bayesastro.result import legal_name, mark_bounds, mark_deterministics, replay_draws, site_dims, variable_units
from bayesastro.units import label

__all__ = ["build_many"]


def build_many(
    batch: Batch, engine: Engine, fits: Mapping[int, Rows], identity: Mapping[str, Any], precision: Precision
) -> xr.DataTree:
    """Parameters from coordinates for each data set, stacked; NaN where a fit failed or was not reached."""
    views = batch.problem.views(precision)
    known, names = views.deterministics, site_dims(views)
    good = {n: rows for n, rows in fits.items() if "coordinates" in rows and not rows["failed"]}
    posterior, stats, figures = {}, {}, {}
    if good:
        example = next(iter(good.values()))
        chains, draws, size = example["coordinates"].shape
        replayed = {
            n: replay_draws(batch.take(n), views, engine.chart, known, rows["coordinates"].reshape(-1, size))
            for n, rows in good.items()
        }
        shapes = {name: value.shape[1:] for name, value in next(iter(replayed.values())).items()}
        for name, shape in shapes.items():
            parts = {n: value[name].reshape(chains, draws, *shape) for n, value in replayed.items()}
            dims = ("dataset", "chain", "draw", *names[legal_name(name)])
            posterior[legal_name(name)] = (dims, _stacked(parts, batch.size))
        for name, value in example.items():
            kind, _, plain = name.partition(" ")
            parts = {n: rows[name] for n, rows in good.items() if name in rows}
            if any(part.shape != value.shape for part in parts.values()):
                continue  # a figure of another length in each chunk
            if kind == "stat":
                extra = [f"{plain}_dim_{i}" for i in range(value.ndim - 2)]
                stats[plain] = (("dataset", "chain", "draw", *extra), _stacked(parts, batch.size))
            elif kind == "figure":
                extra = [f"{plain}_dim_{i}" for i in range(value.ndim)]
                figures[plain] = (("dataset", *extra), _stacked(parts, batch.size))
    failed = np.array([n not in good for n in range(batch.size)])
    reached = np.array([n in fits for n in range(batch.size)])
    started = np.array([n in fits and bool(fits[n].get("started", True)) for n in range(batch.size)])
    ends = {"failed": failed, "reached": reached, "started": started}
    groups = {
        "posterior": xr.Dataset(posterior),
        "sample_stats": xr.Dataset(stats),
        "fits": xr.Dataset({**{name: ("dataset", array) for name, array in ends.items()}, **figures}),
        **_inputs(batch, names),
    }
    tree = xr.DataTree.from_dict({name: group for name, group in groups.items() if group})
    label(tree, variable_units(batch.problem))
    if good:
        mark_deterministics(tree, known)
    if good and all(axis is None for axis in batch.axes.arrays):  # stacked arguments may give each data set its own
        mark_bounds(tree, batch.problem)
    settings = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in identity.items()}
    tree.attrs = settings | {
        "exactness": engine.exactness,
        "references": json.dumps(engine.references),
        "status": "complete" if reached.all() else f"{int(reached.sum())} of {batch.size} data sets reached",
        "num_failed": int((failed & reached).sum()),
    }
    return tree


def _stacked(parts: Mapping[int, np.ndarray], size: int) -> np.ndarray:
    """One array of all data sets; missing ones are NaN, or for counts and flags zero."""
    example = np.asarray(next(iter(parts.values())))
    whole = np.full((size, *example.shape), np.nan if example.dtype.kind in "fc" else 0, example.dtype)
    for number, part in parts.items():
        whole[number] = part
    return whole


def _inputs(batch: Batch, names: Mapping[str, Any]) -> dict[str, xr.Dataset]:
    """Observed values and arguments, with the dimension where they are stacked."""

    def variable(name: str, array: np.ndarray, axis: int | None, dims: Any) -> tuple[tuple[str, ...], np.ndarray]:
        inner = np.ndim(array) - (axis == 0)
        kept = tuple(dims) if len(dims) == inner else tuple(f"{name}_dim_{i}" for i in range(inner))
        return (("dataset",) if axis == 0 else ()) + kept, array

    observed = {
        legal_name(n): variable(legal_name(n), a, batch.axes.observed[n], names[legal_name(n)])
        for n, a in batch.data.observed.items()
    }
    arrays = zip(batch.problem.static_program.array_names, batch.data.arrays, batch.axes.arrays, strict=True)
    constant = {legal_name(n): variable(legal_name(n), a, axis, ()) for n, a, axis in arrays}
    return {"observed_data": xr.Dataset(observed), "constant_data": xr.Dataset(constant)}
