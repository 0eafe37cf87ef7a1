"""Truncated priors: simulations from a box within the prior, exactly and without rejections.

A site's prior that depends on no other latent is carried from standard normals entry by entry; a box of its values is
one of theirs, from which normals are drawn.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers

from bayesastro.families import unmasked, unwrapped
from bayesastro.hints import told
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem
from bayesastro.structure import generate
from bayesastro.transport import from_normal, normal_shape, to_normal

__all__ = ["Within", "checked_within", "drawn_within", "listed_within"]

Within = Mapping[str, tuple[Any, Any]]
"""Lower and upper bounds by latent site, each of the site's shape."""

NUM_PROBES = 4
"""Draws among which a prior that depends on others is found out."""


def checked_within(problem: Problem, within: Mapping[str, Any] | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Bounds of the shapes of their sites.

    Raises
    ------
    ValueError
        If a name is no latent site, its prior depends on other latents or is not drawn entry by entry, or the prior has
        nothing between the bounds.
    """
    shapes, found = {site.name: site.shape for site in problem.parameters}, {}
    for name, bounds in (within or {}).items():
        if name not in shapes:
            raise ValueError(f"`within` names `{name}`, but the latent sites are {list(shapes)}.")
        try:
            low, high = (np.broadcast_to(np.asarray(bound, float), shapes[name]) for bound in bounds)
        except (TypeError, ValueError):
            raise ValueError(
                f"`within` needs a lower and an upper bound for `{name}`, each of shape {shapes[name]} or a number, but "
                f"{told(bounds)} came."
            ) from None
        if not (low < high).all():
            raise ValueError(f"`within` needs lower bounds below the upper ones, but for `{name}` {told(bounds)} came.")
        found[name] = (low, high)
    if found:
        _check_priors(problem, found)
    return found


def _check_priors(problem: Problem, within: Within) -> None:
    def normals(key: jax.Array) -> dict[str, Any]:
        with generate(problem.static_program, problem.data, key) as trace:
            fns = {name: unmasked(trace[name]["fn"]) for name in within}
            for name, fn in fns.items():
                _check_entries(name, fn)
            return {name: jnp.stack([_normal_at(fns[name], bound) for bound in within[name]]) for name in within}

    with working_precision("double"):
        found = to_numpy(jax.jit(jax.vmap(normals))(jax.random.split(jax.random.key(0), NUM_PROBES)))
    for name, bounds in found.items():
        if not (bounds == bounds[:1]).all():
            raise ValueError(
                f"`within` bounds `{name}`, but its prior depends on other latent sites, and would not stay the prior. "
                "Bound those that it depends on."
            )
        if not (bounds[0, 0] < bounds[0, 1]).all():
            raise ValueError(f"The prior of `{name}` has nothing between the bounds of `within`. Widen them.")


def _normal_at(fn: Any, bound: Any) -> jax.Array:
    """The standard normals at a bound, which may lie outside the support."""
    support = unwrapped(fn).support
    low, high = (
        getattr(support, f"{which}_bound", infinity) for which, infinity in (("lower", -jnp.inf), ("upper", jnp.inf))
    )
    found = to_normal(fn, bound)
    return jnp.where(bound <= low, -jnp.inf, jnp.where(bound >= high, jnp.inf, found))


def _check_entries(name: str, fn: Any) -> None:
    try:
        is_by_entry = normal_shape(fn) == tuple(fn.shape()) and not unwrapped(fn).event_shape
    except NotImplementedError:
        is_by_entry = False
    if not is_by_entry:
        family = type(unwrapped(fn)).__name__
        raise ValueError(
            f"`within` bounds `{name}`, but its prior, `{family}`, is not drawn entry by entry. Bound other sites, or use "
            "a prior such as `Uniform` or `Normal`."
        )


def drawn_within(within: Within, key: jax.Array) -> Callable[..., Any]:
    """Handler that draws the named sites from their priors between the bounds."""

    def place(msg: dict[str, Any]) -> Any:
        if msg["type"] != "sample" or msg["name"] not in within:
            return None
        fn, (low, high) = unmasked(msg["fn"]), within[msg["name"]]
        number = int.from_bytes(hashlib.sha256(msg["name"].encode()).digest()[:4], "big")
        bounds = _normal_at(fn, low), _normal_at(fn, high)
        xi = jax.random.truncated_normal(jax.random.fold_in(key, number), *bounds, shape=jnp.shape(low))
        return jnp.clip(from_normal(fn, xi), low, high)

    return partial(handlers.substitute, substitute_fn=place)


def listed_within(within: Within) -> dict[str, list[Any]]:
    """Bounds for JSON."""
    return {name: [bound.tolist() for bound in bounds] for name, bounds in within.items()}
