"""Results: an `xarray.DataTree` in ArviZ's schema, its summary, and its way to disk and back."""

import functools
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import arviz_base
import arviz_stats
import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesastro.hints import told
from bayesastro.inference.engine import ChartName, Draws
from bayesastro.labels import check_variable, rows_named
from bayesastro.precision import Precision, to_numpy, working_precision
from bayesastro.problem import Problem, Views
from bayesastro.program import Data
from bayesastro.structure import Site
from bayesastro.tables import CUT, Table
from bayesastro.units import label
from bayesastro.unreadable import no_result_at

__all__ = [
    "build_result",
    "has_walkers",
    "legal_name",
    "load",
    "mark_bounds",
    "mark_deterministics",
    "number_of_data_sets",
    "real_variables",
    "replay_draws",
    "require_one",
    "require_result",
    "save",
    "site_dims",
    "summary",
    "variable_units",
]

REPLAY_BYTES = 2**27
"""Bound on the memory of the parameters and deterministic sites computed at once."""


def build_result(
    problem: Problem,
    draws: Draws,
    attributes: Mapping[str, Any],
    *,
    deterministics: Sequence[str],
    log_likelihood: bool,
    precision: Precision,
) -> xr.DataTree:
    """Parameters from coordinates, and everything into groups."""
    views = problem.views(precision)
    chains, num_draws, size = draws.coordinates.shape
    flat = replay_draws(problem.data, views, draws.chart, tuple(deterministics), draws.coordinates.reshape(-1, size))
    posterior = {n: v.reshape(chains, num_draws, *v.shape[1:]) for n, v in flat.items()}
    groups: dict[str, dict[str, Any]] = {"posterior": _named(posterior), "sample_stats": draws.sample_stats}
    if log_likelihood:
        latents = {site.name: posterior[site.name] for site in problem.parameters}
        groups["log_likelihood"] = _named(problem.log_likelihood(latents, batch_ndims=2))
    groups["observed_data"] = _named(problem.observed)
    constants = _named(dict(zip(problem.static_program.array_names, problem.data.arrays, strict=True)))
    dims = site_dims(views)
    tree = arviz_base.from_dict({k: v for k, v in groups.items() if v}, dims=dims, check_conventions=False)
    if constants:  # on its own: an argument may have the name of a site and another shape
        tree["constant_data"] = xr.DataTree(
            arviz_base.dict_to_dataset(constants, sample_dims=[], check_conventions=False)
        )
    for name, (points, variables) in draws.points.items():
        values = _named(replay_draws(problem.data, views, draws.chart, (), points)) | variables
        tree[name] = xr.DataTree(
            arviz_base.dict_to_dataset(values, dims=dims, sample_dims=["point"], check_conventions=False)
        )
    for name, (dimension, variables) in draws.tables.items():
        tree[name] = xr.DataTree(
            arviz_base.dict_to_dataset(variables, sample_dims=[dimension], check_conventions=False)
        )
    for site in views.structure.of_kind("observed") if log_likelihood else ():
        values = tree["log_likelihood"][legal_name(site.name)]
        if more := len(site.shape) - (values.ndim - 2):
            values.attrs["datum"] = (
                f"all entries along the last {more} axes of `{site.name}` together, as of one vector"
            )
    mark_bounds(tree, problem)
    mark_deterministics(tree, deterministics)
    label(tree, variable_units(problem))
    tree.attrs = dict(attributes)
    return tree


def mark_bounds(tree: xr.DataTree, problem: Problem) -> None:
    """Write the fixed bounds of priors, and the families, into the attributes of the posterior's variables."""
    for site in problem.parameters:
        if site.name in problem.bounds:
            lower, upper = problem.bounds[site.name]
            attrs = {"prior_family": site.family, "prior_lower": lower, "prior_upper": upper}
            tree["posterior"][legal_name(site.name)].attrs |= attrs


def mark_deterministics(tree: xr.DataTree, names: Sequence[str]) -> None:
    """Write into the attributes of the posterior's variables which are no parameters, but computed from them."""
    for name in names:
        tree["posterior"][legal_name(name)].attrs["site"] = "deterministic"


def replay_draws(
    data: Data, views: Views, chart: ChartName, deterministics: tuple[str, ...], points: np.ndarray
) -> dict[str, np.ndarray]:
    """Latent and deterministic sites at coordinates of shape (point, size), in chunks of bounded memory."""
    sizes = [int(np.prod(s.shape)) for s in views.structure.sites if s.kind == "latent" or s.name in deterministics]
    most = max(1, REPLAY_BYTES // (8 * (points.shape[1] + sum(sizes))))
    # Powers of two, so that few sizes are ever compiled.
    chunk = 2 ** int(np.floor(np.log2(most))) if len(points) > most else 2 ** int(np.ceil(np.log2(max(len(points), 1))))
    function, parts = _replayer(views, chart, deterministics), []
    with working_precision(views.structure.precision):
        for start in range(0, max(len(points), 1), chunk):
            part = points[start : start + chunk]
            padded = np.concatenate([part, np.zeros((chunk - len(part), points.shape[1]), points.dtype)])
            values = to_numpy(function(padded, data))
            parts.append({name: value[: len(part)] for name, value in values.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@functools.lru_cache(maxsize=32)
def _replayer(views: Views, chart: ChartName, deterministics: tuple[str, ...]) -> Callable[..., Any]:
    to_parameters = functools.partial(getattr(views, chart).to_parameters, deterministics=deterministics)
    return jax.jit(jax.vmap(to_parameters, in_axes=(0, None)))


def legal_name(name: str) -> str:
    """A variable name: `/` would be a path within the tree."""
    return name.replace("/", ".")


def variable_units(problem: Problem) -> dict[str, str]:
    """Units of arguments and sites, by the names that they have in results."""
    return _named(problem.units)


def _named(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {legal_name(name): value for name, value in variables.items()}


def site_dims(views: Views) -> Any:
    """Dimension names: the plates, then a numbered name for each other axis."""
    return {legal_name(site.name): _site_dims(site) for site in views.structure.sites if site.kind != "factor"}


def _site_dims(site: Site) -> list[str]:
    plates = [legal_name(plate) for plate in site.plates]
    if len(set(plates)) != len(plates) or {site.name, "chain", "draw"} & set(plates):
        plates = []
    return plates + [f"{legal_name(site.name)}_dim_{i}" for i in range(len(site.shape) - len(plates))]


def has_walkers(result: xr.DataTree) -> bool:
    """Whether the chains are walkers that depend on each other, between which R̂ means nothing."""
    return result.attrs.get("chains_are") == "walkers"


def number_of_data_sets(result: xr.DataTree) -> int | None:
    """How many data sets a result of `fit_many` is of, by its group ``fits`` or else its draws; None if it is of one fit."""
    if "fits" in result.children and "dataset" in result["fits"].sizes:
        return result["fits"].sizes["dataset"]
    variables = result["posterior"].data_vars.values() if "posterior" in result.children else ()
    return next((v.sizes["dataset"] for v in variables if v.dims[0:1] == ("dataset",)), None)


def require_result(result: Any, what: str = "The result") -> None:
    """Raise unless this is a result, of one data set or of many.

    Raises
    ------
    TypeError
        If it is none, such as the path of one.
    """
    if not isinstance(result, xr.DataTree):
        read = f" Read it with `ba.load({str(result)!r})`." if isinstance(result, str | Path) else ""
        raise TypeError(f"{what} must be an `xarray.DataTree` such as `fit` returns, but {told(result)} came.{read}")


def require_one(result: Any, what: str = "The result") -> None:
    """Raise unless this is a result of one data set, whose draws belong together.

    Parameters
    ----------
    result
    what : str
        How messages name it.

    Raises
    ------
    TypeError
        If it is no result, such as the path of one.
    ValueError
        If it is of `fit_many`.
    """
    require_result(result, what)
    if (number := number_of_data_sets(result)) is not None:
        raise ValueError(
            f"{what} is of {number} data sets (`fit_many`). Take one of them with `.isel(dataset=i)`; its problem is `batch[i]`."
        )


def real_variables(result: xr.DataTree) -> xr.Dataset:
    """The posterior's variables that statistics can be made of: complex and empty ones left out, flags as numbers."""
    posterior = result["posterior"].to_dataset()
    kept = posterior[[name for name, v in posterior.items() if v.size and v.dtype.kind in "biuf"]]
    return kept.assign({name: v.astype(float) for name, v in kept.items() if v.dtype.kind == "b"})


def summary(
    result: xr.DataTree, var_names: str | Sequence[str] | None = None, *, ci_prob: float = 0.68, digits: int = 3
) -> pd.DataFrame:
    """Mean, sd, central interval, effective sample sizes, R̂ and Monte Carlo errors of each parameter; units where known.

    Parameters come first, then deterministic sites. The table prints ten rows of a long array, unless `var_names` names it,
    but has all of them. The walkers of an ensemble have no R̂, as they depend on each other.

    Parameters
    ----------
    result : xarray.DataTree
    var_names : str or sequence of str, optional
        By default all variables of the posterior; those after a ``~`` are left out. Single rows, such as ``a[0]``, by the names
        that they have here. Complex variables have no summary.
    ci_prob : float
        Probability of the equal-tailed interval.
    digits : int
        Numbers are rounded to this many significant digits of the sd.

    Raises
    ------
    ValueError
        If the result has no draws, or `var_names` has what it does not.
    TypeError
        If it is no result, such as the path of one.
    """
    require_result(result)
    if result["posterior"].sizes.get("draw", 0) == 0:
        raise ValueError(
            "The result has no draws: the run stopped in its warm-up. Go on from its checkpoint, or run it for longer."
        )
    real = _parameters_first(real_variables(result))
    asked = [var_names] if isinstance(var_names, str) else list(var_names or ())
    named = [name if name in real else name.partition("[")[0] for name in asked]
    for name in named:
        check_variable(name.removeprefix("~"), real.data_vars, "`var_names` has")
    var_names = list(dict.fromkeys(named)) or None
    variables = xr.DataTree.from_dict({"posterior": real})
    with np.errstate(all="ignore"):  # a variable that does not vary has no R̂
        settings: dict[str, Any] = {"ci_prob": ci_prob, "ci_kind": "eti", "round_to": "none"}
        table: Any = arviz_stats.summary(variables, var_names=var_names, **settings).apply(pd.to_numeric)
    if has_walkers(result):
        table = table.drop(columns="r_hat", errors="ignore")
    exact = [c for c in table.columns if c.startswith(("ess", "r_hat"))]
    scale = np.floor(np.log10(table["sd"].where(table["sd"] > 0, 1.0)))
    decimals = (digits - 1 - scale).clip(lower=0).astype(int)
    for column in table.columns:
        places = {"r_hat": 4}.get(column, 0)
        rounded = [round(v, places if column in exact else d) for v, d in zip(table[column], decimals, strict=True)]
        table[column] = rounded
    units = _units(variables["posterior"].to_dataset(), table.index)
    if any(units):
        table.insert(0, "units", units)
    if not any(name.startswith("~") for name in named):
        table = table.loc[rows_named(asked, table.index, real.data_vars, "`var_names` has") or list(table.index)]
    table = Table(table)
    unnamed = [str(name) for name in real.data_vars if name not in named and real[name].ndim > 2]
    table.attrs[CUT] = {name: f'`ba.summary(result, "{name}")`' for name in unnamed}
    return table


def _parameters_first(variables: xr.Dataset) -> xr.Dataset:
    """Then what is computed from them."""
    return variables[sorted(variables.data_vars, key=lambda name: variables[name].attrs.get("site") == "deterministic")]


def _units(posterior: xr.Dataset, labels: Sequence[str]) -> list[str]:
    """Of each row of a summary, whose label is a variable's name, with an index for entries of arrays."""
    known = {str(name): variable.attrs.get("units", "") for name, variable in posterior.items()}
    return [known.get(label) or known.get(label.partition("[")[0], "") for label in labels]


def save(result: xr.DataTree, path: str | Path) -> None:
    """Write a result to netCDF (``.nc``) or zarr (``.zarr``); an old file is replaced in one step.

    Raises
    ------
    ValueError
        If the ending is neither.
    OSError
        If the folder does not exist or cannot be written to.
    """
    path = Path(path)
    if path.suffix not in (".nc", ".zarr"):
        raise ValueError(f"A result is saved as `.nc` or `.zarr`, but the path is `{path}`. Change its ending.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder `{path.parent}` does not exist. Make it, or save elsewhere.")
    beside = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        if path.suffix == ".nc":
            result.to_netcdf(beside, engine="h5netcdf")
            os.replace(beside, path)
        else:
            result.to_zarr(beside, mode="w", consolidated=False)
            _swap_folder(beside, path)
    finally:
        beside.unlink(missing_ok=True) if beside.is_file() else shutil.rmtree(beside, ignore_errors=True)


def _swap_folder(new: Path, path: Path) -> None:
    if not path.is_dir():
        path.unlink(missing_ok=True)
        os.replace(new, path)
        return
    old = path.with_name(f".{uuid.uuid4().hex}.old")
    os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def load(path: str | Path) -> Any:
    """Read a result that :func:`save` wrote, into memory; or trained networks that their `save` did.

    Returns
    -------
    xarray.DataTree, Amortised, Surrogate or TrainedClassifier

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no result of this package, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no result at `{path}`.")
    is_zarr = path.is_dir()
    if is_zarr and (path / "spec.json").exists():
        from bayesastro.inference.neural.saved import load_saved  # which loads torch

        return load_saved(path)
    if told := no_result_at(path):
        raise ValueError(told)
    try:
        options: dict[str, Any] = {"engine": "zarr", "consolidated": False} if is_zarr else {"engine": "h5netcdf"}
        with xr.open_datatree(path, **options) as tree:
            result = tree.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # h5py's and zarr's for damaged content
        raise ValueError(
            f"`{path}` cannot be read as a result: it is damaged, or not netCDF or zarr ({error})."
        ) from error
    if "program_fingerprint" not in result.attrs:
        raise ValueError(f"`{path}` is no result of bayesastro: it has no `program_fingerprint`.")
    return result
