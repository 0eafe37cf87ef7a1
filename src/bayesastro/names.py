"""Names that a user gives, of arguments and sites: that each is there, and which was meant if not."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bayesastro.hints import did_you_mean
from bayesastro.program import Data, bind, checked_observed
from bayesastro.structure import Site, Structure, avals_of, structure_of
from bayesastro.units import is_of_degrees

__all__ = [
    "check_deterministics",
    "check_names",
    "check_observed_names",
    "check_units",
    "misspelling",
    "named",
    "quoted",
]


def check_names(structure: Structure, data: Data, prior_factors: frozenset[str]) -> None:
    """Raise if an observed name or a prior factor is no such site, or an observed shape disagrees.

    Raises
    ------
    ValueError
    """
    check_observed_names(structure, data.observed)
    sites = {site.name: site for site in structure.sites}
    for name in data.observed:
        if np.shape(data.observed[name]) != sites[name].shape:
            raise ValueError(
                f"Observed `{name}` has shape {np.shape(data.observed[name])}, but the program gives that site shape "
                f"{sites[name].shape}. Give data and distribution one shape (a plate, or `.expand`)."
            )
    factors = [s.name for s in structure.of_kind("factor")]
    for name in prior_factors:
        if name not in factors:
            raise ValueError(
                _unknown(f"`prior_factors` names `{name}`", name, sites, factors, "a `numpyro.factor` site")
            )
    if not structure.of_kind("latent"):
        raise ValueError(
            "The program has no latent site, so there is nothing to infer. Leave at least one site unobserved."
        )


def check_observed_names(structure: Structure, observed: Mapping[str, Any]) -> None:
    """Raise if a name is that of no sample site.

    Raises
    ------
    ValueError
    """
    sites = {site.name: site for site in structure.sites}
    samples = [site.name for site in structure.of_kind("latent", "observed")]
    for name in observed:
        if name not in samples:
            raise ValueError(_unknown(f"`observed` names `{name}`", name, sites, samples, "a sample site"))


def misspelling(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    observed: Mapping[str, Any] | None,
    units: Mapping[str, str],
) -> ValueError | None:
    """What is wrong with the names of `observed` or `units`, told before quantities of which the unit is not known.

    The sites are learnt from a trace of the program with the numbers as they came; None if it fails on them.
    """
    try:
        program, arrays = bind(function, args, kwargs, None)
        values = checked_observed(observed, None)
        structure = structure_of(program, avals_of(Data(arrays, values)), "double")
    except Exception:  # of any kind, since the program is the user's
        return None
    try:
        check_observed_names(structure, values)
        check_units(structure, units)
    except ValueError as error:
        return error
    return None


def named(structure: Structure) -> list[str]:
    """All that has a name: arguments of the program, arrays within them, and sites."""
    arguments = inspect.signature(structure.program.function).parameters
    return list(dict.fromkeys([*arguments, *structure.program.array_names, *(site.name for site in structure.sites)]))


def check_units(structure: Structure, units: Mapping[str, str]) -> None:
    """Raise if a declared unit belongs to no argument or site, or does not fit the quantities of a site's prior.

    Those in degrees have to be declared: a program that takes their cosine would do so in silence.

    Raises
    ------
    ValueError
    """
    sites, known = {site.name: site for site in structure.sites}, named(structure)
    for name, unit in units.items():
        if name not in known:
            arguments = [other for other in known if other not in sites]
            raise ValueError(
                f"`units` names `{name}`, but the program has no argument or site of that name. Its arguments are "
                f"{quoted(arguments)}; its sites {quoted(list(sites))}.{did_you_mean(name, known)}"
            )
        if name in sites and sites[name].unit not in ("", unit):
            raise ValueError(
                f"The quantities of the site `{name}` are in {sites[name].unit}, but `units` says {unit}. Leave it out there, or "
                f'write the prior in that unit, with `.to("{unit}")`.'
            )
    for site in structure.of_kind("latent"):
        if site.name not in units and is_of_degrees(site.unit):
            raise ValueError(
                f"The site `{site.name}` would enter the program in {site.unit}, but functions such as `jnp.cos` take radians. Write "
                "its prior in radians, with `.to(u.rad)`, or say that the program takes it so, by "
                f'`Problem(..., units={{"{site.name}": "{site.unit}"}})`.'
            )


def check_deterministics(structure: Structure, wanted: Sequence[str]) -> None:
    """Raise if a name in `deterministics` is that of no deterministic site.

    Raises
    ------
    ValueError
    """
    known = [site.name for site in structure.of_kind("deterministic")]
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"`deterministics` names `{name}`, but the program's deterministic sites are {quoted(known)}."
                f"{did_you_mean(name, known)}"
            )


def _unknown(what: str, name: str, sites: Mapping[str, Site], known: Sequence[str], wanted: str) -> str:
    if name in sites:
        return f"{what}, which is a {sites[name].kind} site and not {wanted}. The program has {quoted(known)}."
    return f"{what}, but the program has no such site; it has {quoted(known)}.{did_you_mean(name, known)}"


def quoted(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return ", ".join(f"`{n}`" for n in names) or "none"
