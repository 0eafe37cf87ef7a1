"""From many fits to a pool: independent draws of each, and what the checks need to know of every member."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpyro import handlers

from bayesastro.batch import Batch
from bayesastro.calibration.checks import Pool
from bayesastro.calibration.exchange import pooled
from bayesastro.calibration.outcomes import Outcomes
from bayesastro.families import mask_of, unwrapped
from bayesastro.labels import labels_of
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem, Views
from bayesastro.program import Data, observing, traced
from bayesastro.result import legal_name
from bayesastro.side_by_side import over_rows, rows_together
from bayesastro.views import site_terms

__all__ = ["FEATURES", "Members", "effective_numbers", "evaluated", "kept", "of_members", "pool_of", "ranked_labels"]

MAX_RANKED = 250
"""Draws of a fit that the truth is ranked among; more would sharpen ranks far below the scatter of 1000 simulations."""

EVALUATED_TOGETHER = 4096
"""Most members evaluated in one call."""

NUM_BLOCKS = 4
"""Consecutive parts of the data of which the mean residual is a feature."""

FEATURES = ("mean", "square", "cube", "fourth", "neighbours", "largest", *(f"block {i}" for i in range(NUM_BLOCKS)))
"""Averages over the whitened residuals of an observed site."""

Members = Mapping[str, np.ndarray]


def pool_of(
    batch: Batch,
    truths: Mapping[str, np.ndarray],
    tree: xr.DataTree,
    references: Mapping[str, np.ndarray],
    random: np.random.Generator,
    deterministics: tuple[str, ...] = (),
) -> tuple[Pool, Outcomes, np.ndarray]:
    """The pool of many fits.

    Parameters
    ----------
    truths : mapping of str to array, shape (simulation, ...)
        By latent site.
    tree : xarray.DataTree
        Of :func:`bayesastro.fit_many`.
    references : mapping of str to array, shape (simulation, coordinate)
    deterministics : tuple of str
        Deterministic sites whose values are ranked beside the parameters.

    Returns
    -------
    pool : Pool
    outcomes : Outcomes
        What became of each fit.
    features : array, shape (simulation in the pool, feature)
        Of the residuals, averaged over the draws; see `FEATURES`.
    """
    sites = batch.problem.parameters
    posterior = tree["posterior"].to_dataset() if "posterior" in tree.children else xr.Dataset()
    draws = {s.name: posterior[legal_name(s.name)].values for s in sites if posterior}
    worth = effective_numbers(tree, draws) if draws else np.zeros(batch.size)
    outcomes = Outcomes.of_fits(tree["fits"].to_dataset(), worth)
    effective, good = outcomes.effective_draws, np.flatnonzero(outcomes.is_fitted)
    is_weighted = "ess" in tree["fits"]
    chosen = [_thinned(draws, int(n), int(min(effective[n], MAX_RANKED)), is_weighted, random) for n in good]
    # As many members whatever the draws are worth, so that one compiled function serves all calibrations.
    most = min(MAX_RANKED, int(np.prod(next(iter(draws.values())).shape[1:3]))) if draws else 0
    members, theta = {}, []
    for site in sites:
        truth = truths[site.name][good]
        padded = np.stack([_padded(c[site.name], most) for c in chosen]) if chosen else np.zeros((0, 0, *site.shape))
        whole = pooled(truth, padded)
        theta.append(whole.reshape(*whole.shape[:2], int(np.prod(site.shape))))
        # The program is run at every member, so that those that are none stand in for the truth.
        members[site.name] = np.where(np.isnan(whole), truth[:, None], whole)
    is_member = np.any(~np.isnan(np.concatenate(theta, axis=-1)), axis=-1)
    found = evaluated(batch, good, members, deterministics)
    values = np.concatenate([*theta, kept(found["deterministics"], is_member)], axis=-1)
    varies = (
        (np.nanmax(values, axis=(0, 1)) > np.nanmin(values, axis=(0, 1)))
        if len(good)
        else np.ones(values.shape[-1], bool)
    )
    labels = [label for label, v in zip(ranked_labels(batch.problem, deterministics), varies, strict=True) if v]
    pool = Pool(
        labels=labels,
        deterministics=deterministics,
        theta=values[..., varies],
        **of_members(found, is_member),
        references={name: at[good] for name, at in references.items()},
        numbers=good,
        num_failed=int(outcomes.is_failed.sum()),
    )
    weights = is_member[:, 1:, None] / np.maximum(is_member[:, 1:].sum(1), 1)[:, None, None]
    return pool, outcomes, (found["features"][:, 1:] * weights).sum(1)


def ranked_labels(problem: Problem, deterministics: tuple[str, ...] = ()) -> list[str]:
    """Names of the scalars of a program's parameters, and of some of its deterministic sites."""
    shapes = {site.name: site.shape for site in problem.views().structure.of_kind("deterministic")}
    return labels_of(
        [*((site.name, site.shape) for site in problem.parameters), *((name, shapes[name]) for name in deterministics)]
    )


def kept(array: np.ndarray, is_member: np.ndarray) -> np.ndarray:
    """Values of members, and NaN where there is none."""
    array = np.where(np.isnan(array), -np.inf, array)  # an undefined density is no density
    return np.where(is_member.reshape(is_member.shape + (1,) * (array.ndim - 2)), array, np.nan)


def of_members(found: Mapping[str, np.ndarray], is_member: np.ndarray) -> dict[str, Any]:
    """A pool's coordinates and densities as :func:`evaluated` found them, NaN where there is no member."""
    return {
        "coordinates": kept(found["coordinates"], is_member),
        "log_likelihood": kept(found["log_likelihood"], is_member),
        "log_density": kept(found["log_prior"] + found["log_likelihood"], is_member),
    }


def effective_numbers(tree: xr.DataTree, draws: Members) -> np.ndarray:
    """Independent draws that those of each data set are worth, for the worst of parameters and log-density."""
    shape = next(iter(draws.values())).shape[:3]
    most, figures = float(shape[1] * shape[2]), tree["fits"].to_dataset()
    if "ess" in figures:  # drawn from weighted points
        return np.minimum(figures["ess"].values, most)
    if "tau" in figures:  # walkers, which depend on each other: their common autocorrelation time
        steps = figures["num_steps"].values - figures["num_dropped"].values
        return np.minimum(shape[1] * steps / figures["tau"].values, most)
    columns = [values.reshape(*shape, -1) for values in draws.values()]
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    if "lp" in stats:
        columns.append(stats["lp"].values[..., None])
    lowest = np.full(shape[0], most)
    with np.errstate(all="ignore"):
        for column in columns:
            for start in range(0, column.shape[-1], 16):
                part = column[..., start : start + 16]
                ess = np.asarray(array_stats.ess(part, chain_axis=1, draw_axis=2, method="bulk"))
                constant = part.std((1, 2)) == 0  # an entry of a Cholesky factor, say, is a constant
                lowest = np.minimum(lowest, np.where(constant, most, np.nan_to_num(ess)).min(-1))
    return lowest


def _thinned(
    draws: Members, number: int, size: int, is_weighted: bool, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """So many draws of one data set: evenly along its chains, or at random if their order has no meaning."""
    flat = {name: values[number].reshape(-1, *values.shape[3:]) for name, values in draws.items()}
    have = len(next(iter(flat.values())))
    chosen = random.choice(have, size, replace=False) if is_weighted else np.linspace(0, have - 1, size).astype(int)
    return {name: values[chosen] for name, values in flat.items()}


def _padded(values: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([values, np.full((size - len(values), *values.shape[1:]), np.nan)])


def evaluated(
    batch: Batch, numbers: np.ndarray, members: Members, deterministics: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """Coordinates, densities and residual features of members, each given its data set.

    Parameters
    ----------
    numbers : array of int, shape (simulation,)
        Data sets of the batch.
    members : mapping of str to array, shape (simulation, member, ...)
    deterministics : tuple of str
        Sites whose values are wanted, one after the other.

    Returns
    -------
    dict of str to array, shape (simulation, member, ...)
        ``coordinates``, ``log_prior``, ``log_likelihood``, ``features`` and ``deterministics``.
    """
    views = batch.problem.views()
    function = _evaluator(views, (batch.axes.arrays, tuple(batch.axes.observed.items())), deterministics)
    parts: list[dict[str, np.ndarray]] = []
    num_members = next(iter(members.values())).shape[1]
    together = min(EVALUATED_TOGETHER, rows_together(views.structure)) // max(num_members, 1)
    with working_precision("double"):
        for chunk, size in _chunks(len(numbers), max(1, together)):
            values = {name: array[chunk] for name, array in members.items()}
            found = to_numpy(function(values, batch.take(numbers[chunk])))
            parts.append({name: array[:size] for name, array in found.items()})
    if parts:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    shapes = {site.name: site.shape for site in views.structure.of_kind("deterministic")}
    width = {
        "coordinates": views.unconstrained.size,
        "features": len(FEATURES) * len(views.fisher_rules),
        "deterministics": sum(int(np.prod(shapes[name])) for name in deterministics),
    }
    return {n: np.zeros((0, 1, width[n])) for n in width} | {
        n: np.zeros((0, 1)) for n in ("log_prior", "log_likelihood")
    }


def _chunks(number: int, together: int) -> Iterator[tuple[np.ndarray, int]]:
    """Indices in chunks of one size, the last filled up by repeating, and how many of each count."""
    for start in range(0, number, together):
        chunk = np.arange(start, min(start + together, number))
        yield np.concatenate([chunk, np.repeat(chunk[-1:], together - len(chunk))]), len(chunk)


@functools.lru_cache(maxsize=16)
def _evaluator(views: Views, axes: tuple[Any, ...], deterministics: tuple[str, ...]) -> Callable[..., Any]:
    chart, terms = views.unconstrained, site_terms(views, 0)

    def one(theta: dict[str, Any], data: Data) -> dict[str, Any]:
        coordinates = chart.to_coordinates(theta, data)
        if views.structure.draws_keys:  # there is no density
            width, nothing = len(FEATURES) * len(views.fisher_rules), jnp.full((), jnp.nan)
            densities = {"log_prior": nothing, "log_likelihood": nothing}
            others = {"features": jnp.zeros(width), "deterministics": jnp.zeros(0)}
            return {"coordinates": coordinates, **densities, **others}
        prior, likelihood, replayed = terms(theta, data)
        return {
            "coordinates": coordinates,
            "log_prior": sum((jnp.sum(v) for v in prior.values()), jnp.zeros(())),
            "log_likelihood": sum((jnp.sum(v) for v in likelihood.values()), jnp.zeros(())),
            "features": _residual_features(views, theta, data),
            "deterministics": jnp.concatenate([jnp.zeros(0), *(jnp.ravel(replayed[name]) for name in deterministics)]),
        }

    def of_a_data_set(members: dict[str, Any], data: Data) -> dict[str, Any]:
        return over_rows(lambda theta: one(theta, data), members, rows_together(views.structure))

    return jax.jit(jax.vmap(of_a_data_set, in_axes=(0, Data(axes[0], dict(axes[1])))))


def _residual_features(views: Views, theta: dict[str, Any], data: Data) -> jax.Array:
    """Averages over the residuals of each observed site, which are of mean 0 and variance 1 if the program is right."""
    features = []
    placed = functools.partial(handlers.substitute, data=theta)
    with traced(views.structure.program, data, observing(data), placed) as trace:
        for name, rule in views.fisher_rules:
            fn, mask = unwrapped(trace[name]["fn"]), mask_of(trace[name]["fn"])
            residual = jnp.asarray(rule.residual(fn, jnp.asarray(trace[name]["value"])))
            if mask is not None:
                residual = jnp.where(jnp.reshape(mask, mask.shape + (1,) * (residual.ndim - mask.ndim)), residual, 0.0)
            r = jnp.atleast_1d(residual.ravel())
            number = r.size if mask is None else jnp.maximum(jnp.sum(mask) * (r.size // mask.size), 1)
            blocks = [part.sum() / max(part.size, 1) for part in jnp.array_split(r, NUM_BLOCKS)]
            moments = [jnp.sum(r**k) / number for k in (1, 2, 3, 4)]
            features += [*moments, jnp.sum(r[1:] * r[:-1]) / number, jnp.max(jnp.abs(r)), *blocks]
    return jnp.stack(features) if features else jnp.zeros(0)
