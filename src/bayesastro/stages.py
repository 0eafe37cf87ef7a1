"""Stages: the posterior of a smaller problem as the start of a larger one, such as one band for several."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from jax.typing import ArrayLike
from numpyro import handlers

from bayesastro.labels import listed
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem
from bayesastro.program import Data, traced
from bayesastro.result import legal_name, require_one
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["start_from"]


@asks_for("seed")
def start_from(
    problem: Problem, known: xr.DataTree | Mapping[str, ArrayLike], *, seed: int, num: int = 100
) -> xr.DataTree:
    """Points to start a problem from of which some latents are known, and the others are drawn from the prior.

    A latent is known if the result has one of its name; all must then have its shape. The others are drawn given those.
    Only the start is handed on, and no information: priors and data are the problem's own, and may be the same data.

    Parameters
    ----------
    problem : Problem
        That is to be started.
    known : xarray.DataTree, or mapping of str to array
        The result of a fit, of any problem; or a value of some latents.
    seed : int
    num : int
        Points; evenly taken from the result's draws, some more than once if there are fewer. GeoVI starts at their mean in
        standard normal coordinates, where those that are drawn are nearly at their medians.

    Returns
    -------
    xarray.DataTree
        For ``fit(…, start=…)``.

    Raises
    ------
    ValueError
        If the result has no draws or is of several data sets, no latent is known, a shape differs, or a value is given for what is no latent.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program(x, is_bent):
    ...     slope = numpyro.sample("slope", dist.Normal(0, 10))
    ...     bend = numpyro.sample("bend", dist.Normal(0, 1)) if is_bent else 0.0
    ...     numpyro.sample("y", dist.Normal(slope * x + bend * x**2, 0.1).to_event(1))
    >>> x = np.linspace(0, 1, 20)
    >>> straight, bent = (ba.Problem(program, x, is_bent=b, observed={"y": 3 * x}) for b in (False, True))
    >>> first = ba.fit(straight, ba.NUTS(num_warmup=100, num_draws=100), seed=1, progress=False)
    >>> start = ba.start_from(bent, first, seed=1)
    >>> result = ba.fit(bent, ba.NUTS(num_warmup=100, num_draws=100), seed=2, start=start, progress=False)
    """
    seed = checked_seed(seed)
    key = jax.random.key(seed)
    if num < 1:
        raise ValueError(f"`num` must be at least 1, but {num} came.")
    given = _of_result(problem, known, num) if isinstance(known, xr.DataTree) else _of_mapping(problem, known, num)
    others = [site.name for site in problem.parameters if site.name not in given]
    values = given | (_drawn(problem, given, others, jax.random.split(key, num)) if others else {})
    posterior = {
        legal_name(site.name): (("chain", "draw", *(f"{site.name}_{i}" for i in range(len(site.shape)))), a[None])
        for site in problem.parameters
        for a in (values[site.name],)
    }
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(posterior)})
    tree.attrs = {"known": sorted(given), "drawn": others}
    return tree


def _of_result(problem: Problem, result: xr.DataTree, num: int) -> dict[str, np.ndarray]:
    require_one(result, "`known`")
    posterior = result["posterior"].to_dataset() if "posterior" in result.children else xr.Dataset()
    total = posterior.sizes.get("chain", 0) * posterior.sizes.get("draw", 0)
    if total == 0:
        raise ValueError("`known` has no posterior draws. Give the result of a run that got as far as drawing.")
    chosen = np.resize(np.linspace(0, total - 1, min(num, total)).astype(int), num)
    given = {}
    for site in problem.parameters:
        if (name := legal_name(site.name)) not in posterior:
            continue
        values = posterior[name].to_numpy()
        _require_shape(site.name, values.shape[2:], site.shape)
        given[site.name] = values.reshape(total, *site.shape)[chosen]
    if not given:
        raise ValueError(
            f"`known` has none of the latents of the problem, {listed([s.name for s in problem.parameters])}; it has "
            f"{listed([str(name) for name in posterior])}. Start from a result that shares some."
        )
    return given


def _of_mapping(problem: Problem, known: Mapping[str, ArrayLike], num: int) -> dict[str, np.ndarray]:
    shapes = {site.name: site.shape for site in problem.parameters}
    if not known or (strange := [name for name in known if name not in shapes]):
        raise ValueError(
            f"`known` must be of latents of the problem, {listed(list(shapes))}, but "
            f"{listed(strange) if known else 'nothing'} came."
        )
    given = {name: np.asarray(value, float) for name, value in known.items()}
    for name, value in given.items():
        _require_shape(name, value.shape, shapes[name])
    return {name: np.repeat(value[None], num, axis=0) for name, value in given.items()}


def _require_shape(name: str, came: tuple[int, ...], needed: tuple[int, ...]) -> None:
    if came != needed:
        raise ValueError(
            f"`{name}` has shape {came} in `known`, but {needed} in the problem. Use the same grid in both stages."
        )


def _drawn(problem: Problem, given: dict[str, np.ndarray], others: list[str], keys: jax.Array) -> dict[str, np.ndarray]:
    """Draws of other latents from the prior, one for each of the values given."""
    program = problem.views().structure.program

    def draw(now: tuple[dict[str, Any], jax.Array], data: Data) -> dict[str, Any]:
        theta, key = now
        with traced(
            program,
            data,
            lambda function: handlers.substitute(function, data=theta),
            lambda function: handlers.seed(function, rng_seed=key),
        ) as trace:
            return {name: trace[name]["value"] for name in others}

    with working_precision("double"):
        run = jax.jit(lambda given, keys, data: jax.lax.map(lambda now: draw(now, data), (given, keys)))
        return to_numpy(run(given, keys, problem.data))
