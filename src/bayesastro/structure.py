"""The structure of a program: its sites, learnt from one trace, and the checks made on the data in that same trace.

One run of the program, generative (observed sites are sampled too), is traced to a jaxpr. From it come the table of
sites, the program's fingerprint, and a compiled function which draws once from the prior predictive and reports for
each site which of its parameters or observed values are outside their domain.
"""

import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints
from numpyro.distributions.transforms import biject_to

from bayesastro import transport
from bayesastro.families import has_point_mass, is_improper, mask_of, unwrapped
from bayesastro.hints import told
from bayesastro.jaxprs import fingerprint_of, host_call
from bayesastro.mistakes import explained
from bayesastro.precision import Precision, working_precision
from bayesastro.prior_units import require_plain, unit_of
from bayesastro.program import Data, Program, traced

__all__ = ["Avals", "Site", "Structure", "abstract_data", "avals_of", "generate", "structure_of", "support_name"]

Avals = tuple[tuple[tuple[tuple[int, ...], str], ...], tuple[tuple[str, tuple[int, ...], str], ...]]
"""Shapes and dtypes of a data set: those of the arrays, and those of the observed values with their names."""

START_RADIUS = 2.0
"""Half-width of the uniform draw, in unconstrained coordinates, that stands in for an improper prior (Stan's choice)."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What is known of one site of a program.

    Attributes
    ----------
    name : str
    kind : str
        ``"latent"``, ``"observed"``, ``"factor"``, ``"deterministic"`` or ``"param"``.
    family : str
        Name of the distribution's class, wrappers (expanded, independent, masked) removed.
    shape, event_shape : tuple of int
        Shape of the value, and its trailing part that one draw of the family fills.
    support : str
        Name of the support.
    plates : tuple of str
        Plate names, outermost first, one for each leading axis of the value.
    free_shape : tuple of int or None
        Shape in unconstrained coordinates; None where no bijection exists.
    white_shape : tuple of int or None
        Shape in standard normal coordinates; None where the prior has no map from them.
    """

    name: str
    kind: str
    family: str = ""
    shape: tuple[int, ...] = ()
    event_shape: tuple[int, ...] = ()
    support: str = ""
    plates: tuple[str, ...] = ()
    free_shape: tuple[int, ...] | None = None
    white_shape: tuple[int, ...] | None = None
    is_discrete: bool = False
    has_point_mass: bool = False
    is_scaled: bool = False
    is_inline: bool = False
    """Observed by `obs=` within the program."""
    centred_on: str | None = None
    """Observed site relative to whose values a latent is best counted."""
    unit: str = field(default="", repr=False)
    """That the quantities of its distribution are in."""
    distribution: type | None = field(default=None, repr=False)
    """The class that `family` names."""


@dataclass(frozen=True)
class Structure:
    """Sites and fingerprint of a program at given shapes; hashable, and what compiled functions are cached by."""

    program: Program
    avals: Avals
    precision: Precision
    sites: tuple[Site, ...]
    fingerprint: str
    subsampled: str | None
    draws_keys: bool
    external: str | None
    """Name of a function without a gradient that the program calls on the host."""
    report: Callable[[Data, jax.Array], dict[str, Any]]
    """One draw from the prior predictive, and what the checks need to know of it, by site."""
    probe: Callable[[Data, jax.Array], dict[str, Any]]
    """The same, compiled."""

    def __hash__(self) -> int:
        return hash((self.program, self.avals, self.precision))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure):
            return NotImplemented
        mine = (self.program, self.avals, self.precision, self.fingerprint)
        return mine == (other.program, other.avals, other.precision, other.fingerprint)

    def of_kind(self, *kinds: str) -> tuple[Site, ...]:
        """Sites of the given kinds, in trace order."""
        return tuple(site for site in self.sites if site.kind in kinds)


def avals_of(data: Data) -> Avals:
    """Shapes and dtypes of a data set."""
    arrays = tuple((np.shape(a), str(np.asarray(a).dtype)) for a in data.arrays)
    observed = tuple((name, np.shape(a), str(np.asarray(a).dtype)) for name, a in data.observed.items())
    return arrays, observed


def abstract_data(avals: Avals) -> Data:
    """A data set of such shapes without values, in the working precision."""
    arrays, observed = avals

    def abstract(shape: tuple[int, ...], dtype: str) -> Any:
        return jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(dtype))

    values = {name: abstract(shape, dtype) for name, shape, dtype in observed}
    return Data(tuple(abstract(shape, dtype) for shape, dtype in arrays), values)


def _require_own_draw(msg: dict[str, Any]) -> None:
    """Raise if a site has no string for its name, or a key of its own: every simulation would draw the same value."""
    name = msg["name"]
    if not isinstance(name, str):
        raise TypeError(f"The name of a site must be a string, but {told(name)} came.")
    if msg["kwargs"]["rng_key"] is not None:
        raise TypeError(
            f"Site `{name}` has a random key of its own, so that it would draw one value for ever. Leave `rng_key` out."
        )


class _Watch(handlers.block):
    """Innermost handler: notes draws of keys within the program and plates that subsample, and refuses units that would be lost."""

    def __init__(self, fn: Callable[..., Any], notes: dict[str, Any]) -> None:
        self.notes = notes
        super().__init__(fn, hide_fn=lambda site: False)

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] == "sample":
            _require_own_draw(msg)
            require_plain(msg["name"], msg["value"], [fn for _, fn in _parts(msg["fn"])])
        if msg["type"] == "prng_key" and not self.notes["unconditioning"]:
            self.notes["draws_keys"] = True
        elif msg["type"] == "prng_key":
            self.notes["unconditioning"] -= 1
        elif msg["type"] == "sample" and msg["is_observed"] and msg["kwargs"]["rng_key"] is None:
            self.notes["unconditioning"] += 1  # `uncondition` is about to ask for a key
        elif msg["type"] == "plate" and msg["args"][1] is not None and msg["args"][1] < msg["args"][0]:
            self.notes["subsampled"] = msg["name"]


def generate(
    program: Program, data: Data, key: jax.Array, notes: dict[str, Any] | None = None, *outer: Callable[..., Any]
) -> Any:
    """Context with the trace of one draw from the prior predictive, under further handlers.

    Improper priors start near the origin.
    """
    notes = {} if notes is None else notes
    notes |= {"unconditioning": 0, "draws_keys": False, "subsampled": None}
    starts = jax.random.fold_in(key, 1)

    def start(msg: dict[str, Any]) -> Any:
        if msg["type"] != "sample" or msg["is_observed"] or not is_improper(msg["fn"]):
            return None
        transform = biject_to(msg["fn"].support)
        shape = transform.inverse_shape(msg["fn"].shape())
        place = jax.random.fold_in(starts, int.from_bytes(hashlib.sha256(msg["name"].encode()).digest()[:4], "big"))
        return transform(jax.random.uniform(place, shape, minval=-START_RADIUS, maxval=START_RADIUS))

    return traced(
        program,
        data,
        functools.partial(_Watch, notes=notes),
        handlers.uncondition,
        functools.partial(handlers.substitute, substitute_fn=start),
        *outer,
        functools.partial(handlers.seed, rng_seed=key),
        validate=False,
    )


def _site(name: str, site: dict[str, Any], conditioned: frozenset[str]) -> Site:
    if site["type"] == "deterministic":
        frames, shape = site.get("cond_indep_stack", []), jnp.shape(site["value"])
        return Site(name=name, kind="deterministic", shape=shape, plates=_plate_axes(frames, shape))
    if site["type"] == "param":
        return Site(name=name, kind="param", shape=jnp.shape(site["value"]))
    fn, inner = site["fn"], unwrapped(site["fn"])
    if isinstance(inner, dist.Unit):
        return Site(name=name, kind="factor", family="Unit")
    inline = site["infer"].get("was_observed", False)
    scale = site["scale"]
    return Site(
        name=name,
        kind="observed" if inline or name in conditioned else "latent",
        family=type(inner).__name__,
        shape=tuple(fn.shape()),
        event_shape=tuple(fn.event_shape),
        support=support_name(fn.support),
        plates=_plate_axes(site["cond_indep_stack"], fn.batch_shape),
        free_shape=_shape_or_none(lambda: biject_to(fn.support).inverse_shape(fn.shape())),
        white_shape=_shape_or_none(lambda: transport.normal_shape(fn)),
        is_discrete=bool(fn.is_discrete),
        has_point_mass=has_point_mass(fn),
        is_scaled=not (scale is None or (isinstance(scale, int | float) and scale == 1)),
        is_inline=bool(inline),
        centred_on=site["infer"].get("centred_on", (None,))[0],
        unit=unit_of(inner),
        distribution=type(inner),
    )


def _shape_or_none(shape: Callable[[], tuple[int, ...]]) -> tuple[int, ...] | None:
    try:
        return tuple(shape())
    except NotImplementedError:
        return None


def support_name(support: constraints.Constraint) -> str:
    """A constraint in words."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(support).__name__.strip("_")).lower()


def _plate_axes(frames: list[Any], batch_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Plate names by axis, where plates fill the batch axes exactly; otherwise none."""
    by_axis = {frame.dim: frame for frame in frames}
    axes = [by_axis[dim] for dim in range(-len(batch_shape), 0) if dim in by_axis]
    if [frame.size for frame in axes] != list(batch_shape):
        return ()
    return tuple(frame.name for frame in axes)


def _violations(ok: Any, value: Any, event_dim: int = 0) -> dict[str, Any]:
    """How many values fail, where the first is, and what it is; of an event (a vector, a matrix) its least entry."""
    value = jnp.asarray(value)
    if value.size == 0:
        return {"count": 0, "first": 0, "value": 0.0, "is_event": event_dim > 0}
    for _ in range(event_dim):
        value = value.min(-1)
    ok, value = jnp.broadcast_arrays(ok, value)
    bad = ~ok.ravel()
    first = jnp.argmax(bad)
    return {"count": bad.sum(), "first": first, "value": value.ravel()[first], "is_event": event_dim > 0}


def _domain_checks(fn: dist.Distribution, observed: Any) -> dict[str, Any]:
    """Violations of the parameters' constraints, and of the support by an observed value."""
    checks = {}
    for path, inner in _parts(fn):
        for name, constraint in type(inner).arg_constraints.items():
            value = inner.__dict__.get(name)
            if value is None or constraints.is_dependent(constraint):
                continue
            if path and constraint is constraints.simplex:
                continue  # a mixture normalises its weights
            while isinstance(constraint, constraints.independent):
                constraint = constraint.base_constraint
            value = jnp.asarray(value)
            ok = constraint(value) & _no_nan(value, constraint)
            checks[path + name] = _violations(ok, value, constraint.event_dim)
    if (bounds := _bounds(fn)) is not None:
        checks["high - low"] = _violations(bounds[0] < bounds[1], bounds[1] - bounds[0])
    if observed is not None:
        checks["__value__"] = _violations(_support_mask(fn, observed), observed, unwrapped(fn).event_dim)
    return checks


def _parts(fn: dist.Distribution, path: str = "") -> Iterator[tuple[str, dist.Distribution]]:
    """A distribution without wrappers, and those that it is made of (a mixture's components), with the way to them."""
    fn = unwrapped(fn)
    yield path, fn
    for name in sorted(type(fn).gather_pytree_data_fields()):
        leaves = jax.tree.leaves(fn.__dict__.get(name), is_leaf=lambda leaf: isinstance(leaf, dist.Distribution))
        for part in (leaf for leaf in leaves if isinstance(leaf, dist.Distribution)):
            yield from _parts(part, f"{path}{name.strip('_')}.")


def _bounds(fn: dist.Distribution) -> Any:
    """Ends of the support where the user chose both; the ends of a natural support (of a `Beta`) are no choice."""
    if type(unwrapped(fn)).__name__ not in _BOUNDED:
        return None
    support: Any = unwrapped(fn).support
    return jnp.asarray(support.lower_bound), jnp.asarray(support.upper_bound)


_BOUNDED = ("Uniform", "LogUniform", "TwoSidedTruncatedDistribution", "DoublyTruncatedPowerLaw")


def _parameters(fn: dist.Distribution) -> Any:
    """A distribution's arrays by name: as a pytree, NumPyro gives them in the order of a set, other in each process."""

    def by_name(leaf: Any) -> Any:
        return _parameters(leaf) if isinstance(leaf, dist.Distribution) else leaf

    fn = unwrapped(fn)
    fields = {name: fn.__dict__.get(name) for name in type(fn).gather_pytree_data_fields()}
    return jax.tree.map(by_name, fields, is_leaf=lambda leaf: isinstance(leaf, dist.Distribution))


def _no_nan(value: jax.Array, constraint: constraints.Constraint) -> jax.Array:
    return jnp.all(~jnp.isnan(value), axis=tuple(range(-constraint.event_dim, 0)))


def _support_mask(fn: dist.Distribution, value: Any) -> jax.Array:
    """Where `value` is in the support, or masked away."""
    with handlers.block():
        support: Any = unwrapped(fn).support
        inside = jnp.asarray(support(value))
    mask = mask_of(fn)
    return inside if mask is None else inside | ~mask


@functools.lru_cache(maxsize=64)
def structure_of(program: Program, avals: Avals, precision: Precision) -> Structure:
    """Trace the program once at the given shapes. Cached, so that equal shapes are never traced again."""
    notes: dict[str, Any] = {}
    sites: list[Site] = []
    shapes, observed = avals
    conditioned = frozenset(name for name, _, _ in observed)

    def probe(data: Data, key: jax.Array) -> dict[str, Any]:
        with generate(program, data, key, notes) as trace:
            sites[:] = [_site(name, site, conditioned) for name, site in trace.items() if site["type"] in _TYPES]
            found = {site.name: _report(site, trace[site.name], data) for site in sites}
        return found

    with working_precision(precision), explained(program, [shape for shape, _ in shapes]):
        stage = jax.jit(probe).trace(abstract_data(avals), jax.eval_shape(lambda: jax.random.key(0)))

    @functools.cache
    def compiled() -> Callable[..., Any]:
        with working_precision(precision):
            return stage.lower().compile()

    known = tuple(sites)
    return Structure(
        program=program,
        avals=avals,
        precision=precision,
        sites=known,
        fingerprint=fingerprint_of(stage.jaxpr, known),
        subsampled=notes["subsampled"],
        draws_keys=notes["draws_keys"],
        external=host_call(stage.jaxpr.jaxpr),
        report=probe,
        probe=lambda data, key: compiled()(data, key),
    )


def _report(site: Site, message: dict[str, Any], data: Data) -> dict[str, Any]:
    """What the checks need to know of a site in one draw."""
    if site.kind == "factor":
        # The value of a factor is its distribution's; that it depends on the arguments belongs into the fingerprint.
        return {"factor": jax.tree.leaves(message["fn"]), "scale": message["scale"]}
    if site.kind not in ("latent", "observed"):
        return {}
    fn, inline = message["fn"], message["infer"].get("obs")
    observed = data.observed.get(site.name, inline)
    fits = observed is not None and _fits(jnp.shape(observed), site.shape)
    return {
        "value": message["value"],
        "inline": inline,
        "bounds": _bounds(fn),
        "support": jax.tree.leaves(fn.support),
        "checks": _domain_checks(fn, observed if fits else None),
        "parameters": _parameters(fn),
        "scale": message["scale"],
    }


def _fits(shape: tuple[int, ...], site_shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, site_shape) == tuple(shape)
    except ValueError:
        return False


_TYPES = ("sample", "deterministic", "param")
