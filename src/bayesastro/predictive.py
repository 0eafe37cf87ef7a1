"""Predictive draws: what data the program gives at draws from its prior or its posterior."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from numpyro import handlers

from bayesastro.elsewhere import at_arguments
from bayesastro.families import value_mask
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem
from bayesastro.program import Data, traced
from bayesastro.refusals import CAPABILITIES, check_draws
from bayesastro.result import legal_name, require_one, site_dims, variable_units
from bayesastro.seeds import asks_for, checked_seed
from bayesastro.side_by_side import over_rows, rows_together
from bayesastro.structure import Structure, generate
from bayesastro.units import label
from bayesastro.views import simulator

__all__ = ["evenly", "latent_draws", "observed_masks", "predict", "replicates_at"]


@asks_for("seed")
def predict(
    problem: Problem,
    result: xr.DataTree | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    num: int = 1000,
    seed: int,
) -> xr.DataTree:
    """Data that the program generates at draws from the prior, or from the posterior of a result.

    They are drawn given the parameters alone: noise that the program correlates, as by a Gaussian process without latents,
    is drawn anew and does not go on from the residuals of the data observed.

    Parameters
    ----------
    problem : Problem
    result : xarray.DataTree, optional
        Posterior draws to predict from. Without it, from the prior.
    arguments : mapping of str to array, optional
        Arguments of the program to predict at in place of the problem's, by name, such as ``{"time": grid}``. Those left
        out are the problem's; one that holds values observed by ``obs=`` is None if that is its default. The parameters
        must have the same shapes there.
    num : int
        Number of predictions. From a posterior no more than it has draws, evenly taken over its chains.
    seed : int

    Returns
    -------
    xarray.DataTree
        ``prior`` and ``prior_predictive``, or ``posterior`` and ``posterior_predictive``, with the dimensions
        ``(chain, draw)`` and one chain; and ``observed_data``, NaN where a mask leaves a value out. With `arguments` there
        are no observed data, and ``posterior`` or ``prior`` has the deterministic sites at these arguments, too.

    Raises
    ------
    TypeError
        If the program has no argument of a name.
    ValueError
        If the program does not generate its data, or the result has no draws or is of another program or of several data
        sets (take one with ``result.isel(dataset=i)``); or if the parameters' names or shapes change with the `arguments`.

    Examples
    --------
    >>> import numpy as np, bayesastro as ba
    >>> from bayesastro.models.cosmology import bao
    >>> ba.predict(bao.build(), num=10, seed=1)["prior_predictive"]["bao"].shape
    (1, 10, 13)
    >>> at = {"z": np.array([0.5, 1.0]), "kind": np.array([1, 1]), "tril": np.eye(2)}
    >>> ba.predict(bao.build(), arguments=at, num=10, seed=1)["prior_predictive"]["bao"].shape
    (1, 10, 2)
    """
    seed = checked_seed(seed)
    require_generative(problem, "predict")
    key = jax.random.key(seed)
    check_draws(num, key)
    draws = None if result is None else evenly(latent_draws(problem, result), num)
    names = ("prior", "prior_predictive") if draws is None else ("posterior", "posterior_predictive")
    there = problem if arguments is None else at_arguments(problem, arguments)
    if arguments is not None:
        theta, x = _predicted(problem, there, draws, num, key)
    elif draws is None:
        theta, x = problem.simulate(num, key=key)
    else:
        theta, x = draws, replicates_at(problem, draws, key)
    dims = site_dims(there.views())

    def group(arrays: Mapping[str, np.ndarray], sample_dims: tuple[str, ...]) -> xr.Dataset:
        shaped = {legal_name(name): a[None] if sample_dims else a for name, a in arrays.items()}
        return xr.Dataset({name: ((*sample_dims, *dims[name]), a) for name, a in shaped.items()})

    sampled = ("chain", "draw")
    groups = {
        names[0]: group(theta, sampled),
        names[1]: group(x, sampled),
        "observed_data": group(_seen(problem) if arguments is None else {}, ()),
    }
    tree = xr.DataTree.from_dict({name: data for name, data in groups.items() if data})
    label(tree, variable_units(problem))
    tree.attrs = {"program_fingerprint": problem.fingerprint, "seed": int(seed)}
    return tree


def _predicted(
    problem: Problem, there: Problem, draws: dict[str, np.ndarray] | None, num: int, key: jax.Array
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Parameters with deterministic sites, and observables, of a problem's program at other arguments."""
    structure = there.views().structure
    if draws is None:
        key, prior_key = jax.random.split(key)
        with working_precision("double"):
            found = to_numpy(simulator(structure)(there.data, jax.random.split(prior_key, num)))
        drawn = {**found[0], **found[1]}
        draws = {site.name: drawn[site.name] for site in problem.parameters}
    known = {site.name for site in structure.sites}
    observables = [s.name for s in problem.views().structure.of_kind("observed") if s.name in known]
    values = _drawn(there, draws, key, (*observables, *there.views().deterministics))
    return draws | {n: values[n] for n in there.views().deterministics}, {n: values[n] for n in observables}


def require_generative(problem: Problem, function: str) -> None:
    """Raise unless the program generates its data.

    Raises
    ------
    ValueError
    """
    if "simulate" in problem.lacks:
        raise ValueError(f"`{function}` needs {CAPABILITIES['simulate']}, but {problem.lacks['simulate']}.")
    if not problem.views().structure.of_kind("observed"):
        raise ValueError(f"`{function}` needs data, but the problem observes nothing. Give it `observed=`.")


def _seen(problem: Problem) -> dict[str, np.ndarray]:
    """Observed values, with NaN where they are masked away."""
    masks = {name: mask for name, mask in observed_masks(problem).items() if not mask.all()}
    return {name: np.where(masks[name], a, np.nan) if name in masks else a for name, a in problem.observed.items()}


def observed_masks(problem: Problem) -> dict[str, np.ndarray]:
    """Masks of the observed sites that have one, in the shape of their values, True where a value counts.

    They are those of one draw from the prior; nothing but the masks is computed.
    """
    structure = problem.views().structure

    def masks(data: Data, key: jax.Array) -> dict[str, jax.Array]:
        with generate(structure.program, data, key) as trace:
            sites = {site.name: trace[site.name] for site in structure.of_kind("observed")}
            found = {name: value_mask(site["fn"], site["value"]) for name, site in sites.items()}
            return {name: mask for name, mask in found.items() if mask is not None}

    with working_precision("double"):
        key = jax.random.key(0)
        return to_numpy(jax.jit(masks)(problem.data, key)) if jax.eval_shape(masks, problem.data, key) else {}


def latent_draws(problem: Problem, result: xr.DataTree) -> dict[str, np.ndarray]:
    """Posterior draws of the latent sites along one axis, chain after chain.

    Raises
    ------
    TypeError
        If it is no result.
    ValueError
        If the result is of another program or of several data sets, or has no draws.
    """
    require_one(result)
    if result.attrs.get("program_fingerprint") != problem.fingerprint:
        raise ValueError(
            "The result is of another program than the problem. Fit it again; to predict at other arguments of its program, "
            "give them to `predict` as `arguments`."
        )
    posterior = result["posterior"].to_dataset()
    if posterior.sizes.get("chain", 0) * posterior.sizes.get("draw", 0) == 0:
        raise ValueError("The result has no draws. Run the engine for longer.")
    return {s.name: posterior[legal_name(s.name)].values.reshape(-1, *s.shape) for s in problem.parameters}


def evenly(draws: Mapping[str, np.ndarray], num: int) -> dict[str, np.ndarray]:
    """At most `num` of the draws along the leading axis, evenly taken."""
    have = len(next(iter(draws.values())))
    chosen = np.linspace(0, have - 1, min(num, have)).astype(int)
    return {name: values[chosen] for name, values in draws.items()}


def replicates_at(problem: Problem, theta: Mapping[str, np.ndarray], key: jax.Array) -> dict[str, np.ndarray]:
    """Observables generated at each of the parameter values along the leading axis."""
    return _drawn(problem, theta, key, tuple(site.name for site in problem.views().structure.of_kind("observed")))


def _drawn(
    problem: Problem, theta: Mapping[str, np.ndarray], key: jax.Array, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Sites of these names at each of the parameter values along the leading axis."""
    with working_precision("double"):
        keys = jax.random.split(key, len(next(iter(theta.values()))))
        return to_numpy(_replicator(problem.views().structure, names)(dict(theta), problem.data, keys))


@functools.lru_cache(maxsize=32)
def _replicator(structure: Structure, names: tuple[str, ...]) -> Callable[..., Any]:
    def draw(theta: dict[str, Any], data: Data, key: jax.Array) -> dict[str, Any]:
        placed = functools.partial(handlers.substitute, data=theta)
        seeded = functools.partial(handlers.seed, rng_seed=key)
        with traced(structure.program, data, handlers.uncondition, placed, seeded) as trace:
            return {name: trace[name]["value"] for name in names}

    def draws(theta: dict[str, Any], data: Data, keys: jax.Array) -> dict[str, Any]:
        return over_rows(lambda row: draw(row[0], data, row[1]), (theta, keys), rows_together(structure))

    return jax.jit(draws)
