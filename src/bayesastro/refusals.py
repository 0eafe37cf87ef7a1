"""What a problem can provide, what it lacks and why, and the checks on its data: every refusal names site and remedy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd

from bayesastro.domains import same
from bayesastro.extras import missing
from bayesastro.fisher import rule_of
from bayesastro.hints import told
from bayesastro.names import quoted
from bayesastro.precision import native, to_numpy, working_precision
from bayesastro.program import Data
from bayesastro.structure import Site, Structure
from bayesastro.tables import Table
from bayesastro.units import plain, require_unmasked

__all__ = [
    "CAPABILITIES",
    "LEARNT",
    "Lack",
    "carriers",
    "check_draws",
    "checked_theta",
    "data_lacks",
    "fixed_bounds",
    "inline_error",
    "learnt_refusal",
    "require_coordinates",
    "structural_lacks",
    "table_of",
]

CAPABILITIES = {
    "density": "a log-density",
    "gradient": "a gradient of the log-density",
    "simulate": "a program that generates its data",
    "proper_prior": "a proper prior",
    "white": "a prior with a map from standard normals",
    "fisher": "a likelihood of known Fisher metric",
}
"""What an engine may need of a problem, in words."""

LEARNT = {
    "NPE": ("simulate",),
    "NLE": ("simulate", "proper_prior"),
    "NRE": ("simulate", "proper_prior"),
    "TMNRE": ("simulate",),
    "Corrected": ("density", "simulate"),
}
"""Neural methods, which are trained before they are engines, and what they need; known here without loading torch."""


@dataclass(frozen=True)
class Lack:
    """Why a problem does not provide something: which site, and what to do."""

    site: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.why}. {self.remedy}"


def inline_error(structure: Structure, inline: Mapping[str, np.ndarray]) -> str:
    """What to say of values given by ``obs=`` that do not broadcast with their site; empty if all do."""
    for site in structure.of_kind("observed"):
        shape = np.shape(inline.get(site.name, 0.0))
        try:
            np.broadcast_shapes(shape, site.shape)
        except ValueError:
            return (
                f"Observed `{site.name}` has shape {shape}, but the program gives that site shape {site.shape}. Give data and "
                "distribution one shape (a plate, or `.expand`)."
            )
    return ""


def structural_lacks(structure: Structure, prior_factors: frozenset[str]) -> dict[str, Lack]:
    """What a program cannot provide at any data; the first reason for each capability counts."""
    lacks: dict[str, Lack] = {}

    def lack(site: str, why: str, remedy: str, *capabilities: str) -> None:
        for capability in capabilities:
            lacks.setdefault(capability, Lack(site, why, remedy))

    density = ("density", "gradient", "white")
    for site in structure.sites:
        name = f"site `{site.name}`"
        if site.kind == "param":
            remedy = "Make it a `numpyro.sample` site with a prior, or pass the value as an argument"
            lack(site.name, f"{name} is a `numpyro.param`", remedy, *CAPABILITIES)
        if site.kind == "latent" and site.is_discrete:
            remedy = "Sum it out, for example with `MixtureSameFamily`, or use simulation-based inference"
            lack(site.name, f"{name} has the discrete prior `{site.family}`", remedy, *density)
        elif site.kind == "latent" and site.has_point_mass:
            remedy = "Make a fixed value a `numpyro.deterministic` site, or use simulation-based inference"
            lack(site.name, f"{name} has `{site.family}`, which has point masses and so no density", remedy, *density)
        elif site.kind == "latent" and site.free_shape is None:
            remedy = "Write it in terms of sites with ordinary supports"
            lack(
                site.name, f"{name} has support `{site.support}`, which has no bijection to the reals", remedy, *density
            )
        if site.kind == "latent" and site.family == "ImproperUniform":
            remedy = "Give it a proper prior"
            lack(site.name, f"{name} has `ImproperUniform`", remedy, "proper_prior", "simulate", "white")
        if site.kind == "latent" and site.white_shape is None:
            remedy = "Give it a normal prior or one with an inverse distribution function"
            lack(site.name, f"{name} has `{site.family}`, which has no map from standard normals", remedy, "white")
        if site.kind == "factor":
            remedy = "Write it as a `numpyro.sample` site with a distribution that can be sampled"
            lack(site.name, f"{name} is a `numpyro.factor`, which generates nothing", remedy, "simulate")
            if site.name not in prior_factors:
                lack(site.name, f"{name} is a `numpyro.factor`, which has no Fisher metric", remedy, "fisher")
        if site.kind == "observed" and rule_of(site.distribution) is None:
            remedy = "Make its metric known with `bayesastro.register_fisher`, and the `Problem` after that"
            lack(site.name, f"{name} has `{site.family}`, whose Fisher metric is not known", remedy, "fisher")
        if site.name in prior_factors:
            remedy = "Put the term into the priors of the sites it acts on"
            lack(site.name, f"{name} leaves the prior without normalisation", remedy, "proper_prior", "white")
        if site.is_scaled and structure.subsampled is None:
            remedy = "Drop `numpyro.handlers.scale`"
            lack(site.name, f"{name} has a scaled log-density", remedy, "simulate", "proper_prior", "white")
    if structure.subsampled is not None:
        why = f"plate `{structure.subsampled}` is subsampled, so its density is random"
        lack(structure.subsampled, why, "Use the whole plate", *CAPABILITIES)
    if structure.external is not None:
        why = f"the program calls `{structure.external}` on the host, through which JAX has no gradient"
        remedy = "Write it in JAX, or give it a gradient with `jax.custom_jvp`"
        lack(structure.external, why, remedy, "gradient")
    if structure.draws_keys:
        remedy = "Make that noise a `numpyro.sample` site, or use simulation-based inference"
        lack(
            "prng_key",
            "the program draws random keys itself (`numpyro.prng_key`), so it has no density",
            remedy,
            *density,
        )
    return lacks


def data_lacks(
    structure: Structure, data: Data, inline: Mapping[str, np.ndarray], probe: Mapping[str, Any]
) -> dict[str, Lack]:
    """Why observations given by ``obs=`` may keep a program from generating: broadcasting, or a mean made from data."""
    for site in structure.of_kind("observed"):
        if site.name in inline and np.shape(inline[site.name]) != site.shape:
            why = f"site `{site.name}` has shape {site.shape} but is observed with shape {np.shape(inline[site.name])}"
            return {
                "simulate": Lack(site.name, why, "Give the distribution the shape of the data (a plate, or `.expand`)")
            }
    for place, carried, other in carriers(structure, data, inline, probe):
        for site in structure.of_kind("latent", "observed"):
            pairs = (jax.tree.leaves(found[site.name]["parameters"]) for found in (other, probe))
            if not all(map(same, *pairs)):
                argument = structure.program.array_names[place]
                why = f"site `{site.name}` is computed from argument `{argument}`, which holds the observed `{carried}`"
                remedy = "Compute it from sampled values (`numpyro.contrib.control_flow.scan`) or pass the parts as arguments of their own"
                return {"simulate": Lack(site.name, why, remedy)}
    return {}


def carriers(
    structure: Structure, data: Data, inline: Mapping[str, np.ndarray], probe: Mapping[str, Any]
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Arguments that hold values observed by ``obs=``: their places, a site's name, and a probe with them disturbed."""
    for place, array in enumerate(data.arrays) if inline else ():
        with working_precision(structure.precision):
            other = to_numpy(structure.probe(_disturbed(data, place, array), jax.random.key(1)))
        if carried := [n for n in inline if not same(other[n]["inline"], probe[n]["inline"])]:
            yield place, carried[0], other


def _disturbed(data: Data, place: int, array: np.ndarray) -> Data:
    """`data` with one array changed in every entry, keeping dtype, sign and rough size."""
    if array.dtype.kind == "b":
        changed = ~array
    elif array.dtype.kind in "iu":
        changed = array + np.ones_like(array)
    else:
        changed = (array * (1 + 1e-3) + 1e-3 * np.abs(array).max(initial=1.0)).astype(array.dtype)
    return data._replace(arrays=(*data.arrays[:place], changed, *data.arrays[place + 1 :]))


def check_draws(num: Any, key: Any) -> None:
    """Raise unless so many draws can be made with the key.

    Raises
    ------
    ValueError
        If `num` is not a positive whole number.
    TypeError
        If `key` is not one JAX random key.
    """
    if not isinstance(num, int | np.integer) or isinstance(num, bool) or num < 1:
        raise ValueError(f"`num` must be a whole number of at least 1, but {told(num)} came.")
    is_typed = isinstance(key, jax.Array) and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    is_raw = isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32
    if not ((is_typed and key.ndim == 0) or (is_raw and key.ndim == 1)):
        raise TypeError(f"`key` must be one JAX random key such as `jax.random.key(0)`, but {told(key)} came.")


def require_coordinates(parameters: Sequence[Site], function: str) -> None:
    """Raise unless every latent site has unconstrained coordinates.

    Raises
    ------
    ValueError
    """
    for site in parameters:
        if site.is_discrete or site.has_point_mass or site.free_shape is None:
            raise ValueError(
                f"`{function}` needs latent sites with unconstrained coordinates, but site `{site.name}` has "
                f"`{site.family}`. Sum a discrete site out, or make a fixed value a `numpyro.deterministic` site."
            )


def learnt_refusal(method: str, lacks: Mapping[str, Lack], parameters: Sequence[Site]) -> str:
    """Why a method of `LEARNT` cannot serve a problem, with the remedy; empty if it can."""
    for need in LEARNT[method]:
        if need in lacks:
            return f"`{method}` needs {CAPABILITIES[need]}, but {lacks[need]}."
    try:
        require_coordinates(parameters, method)
    except ValueError as error:
        return str(error)
    lack = missing("torch")
    return f"`{method}` {lack}." if lack else ""


def checked_theta(
    parameters: Sequence[Site], theta: Mapping[str, Any], batch_ndims: int, units: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """The latent sites' values out of `theta`.

    Raises
    ------
    TypeError
        If `theta` is not a mapping, or a value is no number.
    ValueError
        If a site has no value, a value has another shape or a unit of another kind than its site, or the batches differ.
    """
    if not isinstance(theta, Mapping):
        raise TypeError(f"`theta` must map site names to values, but {told(theta)} came.")
    if not isinstance(batch_ndims, int | np.integer) or batch_ndims < 0:
        raise ValueError(f"`batch_ndims` must be a whole number of at least 0, but {told(batch_ndims)} came.")
    if missing := [site.name for site in parameters if site.name not in theta]:
        raise ValueError(
            f"A value is needed for the latent site `{missing[0]}`; values came for {quoted(list(theta))}."
        )
    for site in parameters:
        require_unmasked(theta[site.name], f"The value of site `{site.name}`")
    theta = {site.name: native(plain(theta[site.name], site.name, units)) for site in parameters}
    batch = None
    for site in parameters:
        if theta[site.name].dtype.kind not in "fiub":
            value = told(theta[site.name].tolist())
            raise TypeError(f"The value of site `{site.name}` must be of real numbers, but {value} came.")
        shape = theta[site.name].shape
        if len(shape) < batch_ndims or shape[batch_ndims:] != site.shape:
            raise ValueError(
                f"Site `{site.name}` has shape {site.shape}, but its value has shape {shape} with "
                f"`batch_ndims={batch_ndims}` leading axes."
            )
        if batch is not None and shape[:batch_ndims] != batch:
            raise ValueError(
                f"The value of site `{site.name}` has the batch {shape[:batch_ndims]}, but those before it {batch}. "
                "Give all sites the same leading axes."
            )
        batch = shape[:batch_ndims]
    return theta


def fixed_bounds(probes: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, Any]]:
    """Ends of the priors that were given both, by site, if they are the same at the first two probes."""
    bounds = {}
    for name, found in probes[0].items():
        ends = found.get("bounds")
        if ends is not None and all(map(np.array_equal, ends, probes[1][name]["bounds"])):
            bounds[name] = tuple(end if end.size > 1 else end.item() for end in ends)
    return bounds


def table_of(reasons: Mapping[str, str], caution: str) -> Table:
    """For `Problem.check`: the engines with the reasons why they refuse, and the caution for those that do not."""
    columns = {
        "ok": [not reason for reason in reasons.values()],
        "reason": list(reasons.values()),
        "caution": ["" if reason else caution for reason in reasons.values()],
    }
    return Table(columns, index=pd.Index(list(reasons), name="engine"))
