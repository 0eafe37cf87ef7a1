"""Charts: coordinates in which engines walk, and their maps to and from a program's parameters.

A chart gives a flat vector z of all latents, and the density of z with every Jacobian in it:

* :class:`Unconstrained`: z = biject(θ), site by site; −log p(z) = −log p(θ) − log |∂θ/∂z|. Serves every continuous
  family.
* :class:`Centred`: the same relative to the data, where the program says so; for latents that data pin down better than
  their prior does.
* :class:`White`: z are independent standard normals a priori; log p(z) = log p(x | θ(z)) − z·z/2 + const. Serves the
  families of :mod:`bayesastro.transport`, conditional priors included.

All methods are pure functions of coordinates, keys and data, for one point; batch them with ``jax.vmap``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from numpyro import handlers
from numpyro.distributions.transforms import biject_to

from bayesastro import transport
from bayesastro.families import entrywise, unmasked, with_axes
from bayesastro.program import Data, observing, traced
from bayesastro.structure import Structure, generate

__all__ = ["Centred", "Chart", "Slice", "Unconstrained", "White"]


@dataclass(frozen=True)
class Slice:
    """Where a site's coordinates lie in the flat vector."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Chart(ABC):
    """Coordinates z of all latents of a program; abstract.

    Parameters
    ----------
    structure : Structure
    prior_factors : frozenset of str
        Names of `numpyro.factor` sites that belong to the prior.
    shapes : tuple of (str, shape)
        Coordinate shape of each latent site, in trace order.
    """

    structure: Structure
    prior_factors: frozenset[str]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Name, place and shape of each site's coordinates."""
        slices, start = [], 0
        for name, shape in self.shapes:
            stop = start + _size(shape)
            slices.append(Slice(name, start, stop, shape))
            start = stop
        return tuple(slices)

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return sum(_size(shape) for _, shape in self.shapes)

    def split(self, z: jax.Array) -> dict[str, jax.Array]:
        """The flat vector's parts by site name."""
        z = jnp.asarray(z)
        return {s.name: z[s.start : s.stop].reshape(s.shape) for s in self.slices}

    def log_prior(self, z: jax.Array, data: Data) -> jax.Array:
        """Log-density of the prior in these coordinates, Jacobian included."""
        return self.log_terms(z, data)[0]

    def log_likelihood(self, z: jax.Array, data: Data) -> jax.Array:
        """Log-likelihood, all observed sites and likelihood factors together."""
        return self.log_terms(z, data)[1]

    def log_density(self, z: jax.Array, data: Data) -> jax.Array:
        """Log-density of the posterior in these coordinates, up to the evidence."""
        log_prior, log_likelihood = self.log_terms(z, data)
        return log_prior + log_likelihood

    def to_parameters(self, z: jax.Array, data: Data, *, deterministics: tuple[str, ...] = ()) -> dict[str, jax.Array]:
        """Values of all latent sites, and of the named deterministic ones, at `z`."""
        with traced(self.structure.program, data, *self.placed(z, data), *self._keyed) as trace:
            names = [name for name, _ in self.shapes] + list(deterministics)
            return {name: jnp.asarray(trace[name]["value"]) for name in names}

    def to_coordinates(self, theta: Mapping[str, Any], data: Data) -> jax.Array:
        """Coordinates of parameter values given by site name."""
        values = {name: jnp.asarray(value) for name, value in theta.items()}  # a scan indexes them by a traced step
        placed = partial(handlers.substitute, data=values)
        with traced(self.structure.program, data, observing(data), placed, *self._keyed) as trace:
            return self.coordinates_of(trace, data)

    def draw_prior(self, key: jax.Array, data: Data) -> jax.Array:
        """Coordinates of one draw from the prior; improper sites start near the origin."""
        with generate(self.structure.program, data, key) as trace:
            return self.coordinates_of(trace, data)

    def draw_start(self, key: jax.Array, data: Data) -> jax.Array:
        """Coordinates of one point to start from: a draw from the prior, but for what is better begun at the data."""
        return self.draw_prior(key, data)

    @property
    def _keyed(self) -> tuple[Any, ...]:
        """For a program that draws keys itself, any key: what it makes of them is not among the latents."""
        return (partial(handlers.seed, rng_seed=0),) if self.structure.draws_keys else ()

    def coordinates_of(self, trace: Mapping[str, Any], data: Data) -> jax.Array:
        """Coordinates of the latent sites of a run of the program."""
        parts = [self._inverse(trace[name], trace[name]["value"], data) for name, _ in self.shapes]
        return jnp.concatenate([jnp.ravel(p) for p in parts]) if parts else jnp.zeros(0)

    def placed(self, z: jax.Array, data: Data) -> tuple[Any, ...]:
        """Handlers under which the program runs with its latents at `z` and its observed sites at their values."""
        parts = self.split(z)

        def place(msg: dict[str, Any]) -> Any:
            if msg["type"] != "sample" or msg["name"] not in parts:
                return None
            part = parts[msg["name"]]
            step = msg["infer"].get("_scan_current_index")  # within a scan only entry `step` is wanted
            return self._forward(msg, part if step is None else part[step], data)

        return observing(data), partial(handlers.substitute, substitute_fn=place)

    @partial(jax.jit, static_argnums=0)
    def log_terms(self, z: jax.Array, data: Data) -> tuple[jax.Array, jax.Array]:
        """Log-prior and log-likelihood. Jitted so that the program is traced once however often an engine asks."""
        with traced(self.structure.program, data, *self.placed(z, data)) as trace:
            return self.terms_of(trace, z, data)

    def terms_of(self, trace: Mapping[str, Any], z: jax.Array, data: Data) -> tuple[jax.Array, jax.Array]:
        """Log-prior and log-likelihood of a run of the program at `z`."""
        return self._log_prior_of(trace, z), self._log_likelihood_of(trace, z, data)

    def _log_prior_of(self, trace: Mapping[str, Any], z: jax.Array) -> jax.Array:
        parts, log_prior = self.split(z), self._base_log_prior(z)
        for name, site in trace.items():
            if site["type"] == "sample" and name in parts:
                log_prior += self._site_log_prior(site, parts[name])
            elif site["type"] == "sample" and name in self.prior_factors:
                log_prior += site_log_prob(site).sum()
        return log_prior

    def _log_likelihood_of(self, trace: Mapping[str, Any], z: jax.Array, data: Data) -> jax.Array:
        log_likelihood, others = jnp.zeros((), z.dtype), {*self.split(z), *self.prior_factors}
        for name, site in trace.items():
            if site["type"] == "sample" and name not in others:
                log_likelihood += site_log_prob(site).sum()
        return log_likelihood

    @abstractmethod
    def _forward(self, site: dict[str, Any], part: jax.Array, data: Data) -> jax.Array:
        """A site's value at its coordinates."""

    @abstractmethod
    def _inverse(self, site: dict[str, Any], value: jax.Array, data: Data) -> jax.Array:
        """A site's coordinates at its value."""

    @abstractmethod
    def _base_log_prior(self, z: jax.Array) -> jax.Array:
        """The part of the log-prior that is a function of `z` alone."""

    @abstractmethod
    def _site_log_prior(self, site: dict[str, Any], part: jax.Array) -> jax.Array:
        """The part of the log-prior that one latent site adds at its coordinates, Jacobian included."""


@dataclass(frozen=True)
class Unconstrained(Chart):
    """Real coordinates by NumPyro's bijection of each site's support, with the Jacobian in the prior."""

    def _forward(self, site: dict[str, Any], part: jax.Array, data: Data) -> jax.Array:
        return biject_to(unmasked(site["fn"]).support)(part)

    def _inverse(self, site: dict[str, Any], value: jax.Array, data: Data) -> jax.Array:
        return biject_to(unmasked(site["fn"]).support).inv(value)

    def _base_log_prior(self, z: jax.Array) -> jax.Array:
        return jnp.zeros((), z.dtype)

    def _site_log_prior(self, site: dict[str, Any], part: jax.Array) -> jax.Array:
        fn = unmasked(site["fn"])
        log_jacobian = biject_to(fn.support).log_abs_det_jacobian(part, site["value"])
        return latent_log_prob(site).sum() + jnp.sum(log_jacobian)


@dataclass(frozen=True)
class Centred(Unconstrained):
    """Unconstrained coordinates, but those of some latents relative to the data: z = (θ − m(y)) / s.

    A latent site over the reals says so by ``infer={"centred_on": (name, scale)}``, the name of an observed site of the same
    shape and how far from its values the latent may be, such as the standard deviation of the noise. Of an observed site of
    another shape, or one that is not the latent with noise, ``(name, scale, centre)`` also gives a function of its values,
    such as an estimate from them. Scale and centre may depend on latents that come before.
    """

    def draw_start(self, key: jax.Array, data: Data) -> jax.Array:
        """Coordinates of a draw from the prior; those relative to the data are standard normals."""
        normal = jax.random.normal(jax.random.fold_in(key, 1), (self.size,))
        sites = {site.name: site.centred_on for site in self.structure.of_kind("latent")}
        parts = [jnp.full(s.stop - s.start, sites[s.name] is not None) for s in self.slices]
        return jnp.where(jnp.concatenate(parts), normal, self.draw_prior(key, data))

    def _forward(self, site: dict[str, Any], part: jax.Array, data: Data) -> jax.Array:
        if "centred_on" not in site["infer"]:
            return super()._forward(site, part, data)
        centre, scale = _centre(site, data)
        return centre + scale * part

    def _inverse(self, site: dict[str, Any], value: jax.Array, data: Data) -> jax.Array:
        if "centred_on" not in site["infer"]:
            return super()._inverse(site, value, data)
        centre, scale = _centre(site, data)
        return (value - centre) / scale

    def _site_log_prior(self, site: dict[str, Any], part: jax.Array) -> jax.Array:
        if "centred_on" not in site["infer"]:
            return super()._site_log_prior(site, part)
        log_scale = jnp.log(jnp.abs(jnp.asarray(site["infer"]["centred_on"][1])))
        return latent_log_prob(site).sum() + jnp.sum(jnp.broadcast_to(log_scale, part.shape))


@dataclass(frozen=True)
class White(Chart):
    """Standard normal coordinates ξ, carried to the parameters in trace order by :mod:`bayesastro.transport`."""

    def _forward(self, site: dict[str, Any], part: jax.Array, data: Data) -> jax.Array:
        return transport.from_normal(unmasked(site["fn"]), part)

    def _inverse(self, site: dict[str, Any], value: jax.Array, data: Data) -> jax.Array:
        return transport.to_normal(unmasked(site["fn"]), value)

    def _base_log_prior(self, z: jax.Array) -> jax.Array:
        return -0.5 * jnp.sum(z**2) - 0.5 * self.size * jnp.log(2 * jnp.pi)

    def _site_log_prior(self, site: dict[str, Any], part: jax.Array) -> jax.Array:
        return jnp.zeros(())


def _centre(site: dict[str, Any], data: Data) -> tuple[jax.Array, Any]:
    """What the coordinates of a site are relative to, and in which unit.

    Raises
    ------
    ValueError
        If it has another shape than the site.
    """
    name, scale, *of_values = site["infer"]["centred_on"]
    centre = jnp.asarray(data.observed[name])
    if of_values:
        centre = jnp.asarray(of_values[0](centre))
    if centre.shape != site["fn"].shape():
        raise ValueError(
            f"`{site['name']}` of shape {site['fn'].shape()} cannot be centred on `{name}`, which gives shape {centre.shape}. "
            "Give a function of its values that returns that shape."
        )
    return centre, scale


def site_log_prob(site: dict[str, Any]) -> jax.Array:
    """Log-probability of an observed or factor site by entry of its batch, with the scale that handlers set."""
    return _scaled(site["fn"].log_prob(site["value"]), site)


def pointwise_log_prob(site: dict[str, Any]) -> jax.Array:
    """The same by datum: of every entry that is independent, whether `to_event` gathers it in one event or not."""
    entries, scale = entrywise(site["fn"]), site["scale"]
    log_prob = jnp.asarray(entries.log_prob(site["value"]))
    return log_prob if scale is None else with_axes(scale, entries, site["fn"]) * log_prob


def latent_log_prob(site: dict[str, Any]) -> jax.Array:
    """Log-probability of a latent site, with the scale that handlers set and without any mask."""
    return _scaled(unmasked(site["fn"]).log_prob(site["value"]), site)


def _scaled(log_prob: Any, site: dict[str, Any]) -> jax.Array:
    return log_prob if site["scale"] is None else site["scale"] * log_prob


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
