"""Whether an argument or site that is declared in degrees, or in another unit than radians, goes into a sine as it is.

What takes radians would take the numbers for them without a word. The program's trace tells, where the way is plain: see
:func:`bayesastro.jaxprs.sine_arguments`.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend.core import Literal

from bayesastro.jaxprs import sine_arguments
from bayesastro.precision import working_precision
from bayesastro.program import Data
from bayesastro.structure import Structure, abstract_data
from bayesastro.units import is_angle

__all__ = ["AngleCaution", "angle_cautions"]


@dataclass(frozen=True)
class AngleCaution:
    """An argument or site of which the program takes a sine, cosine or tangent, though it is not in radians.

    Attributes
    ----------
    name : str
        Of the argument or site.
    why, remedy : str
    """

    name: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"`{self.name}` {self.why}. {self.remedy}"


def angle_cautions(structure: Structure, units: Mapping[str, str]) -> tuple[AngleCaution, ...]:
    """Angles in other units than radians that go into a sine, cosine or tangent without being converted.

    Parameters
    ----------
    structure : Structure
    units : mapping of str to str
        Of arguments and sites, by name. Without angles in other units than radians, the program is not traced for them.
    """
    angles = {name: unit for name, unit in units.items() if unit != "rad" and is_angle(unit)}
    taken = _taken(structure) if angles else ()
    return tuple(_caution(structure, name, unit) for name, unit in angles.items() if name in taken)


def _caution(structure: Structure, name: str, unit: str) -> AngleCaution:
    converted = f"`jnp.deg2rad({name})`" if unit == "deg" else "a factor"
    radians = (
        f'Declare `units={{"{name}": "rad"}}`, which converts quantities,'
        if name in structure.program.array_names
        else "Write its prior in radians,"
    )
    return AngleCaution(
        name,
        f"is in {unit}, but the program takes its sine, cosine or tangent as if it were in radians",
        f"{radians} or convert it in the program, by {converted}.",
    )


@functools.lru_cache(maxsize=64)
def _taken(structure: Structure) -> frozenset[str]:
    """Names of the arguments and sites of which the program takes a sine, cosine or tangent as they are."""

    def values(data: Data, key: jax.Array) -> dict[str, Any]:
        return {name: found["value"] for name, found in structure.report(data, key).items() if "value" in found}

    key = jax.eval_shape(lambda: jax.random.key(0))
    with working_precision(structure.precision):
        traced, shapes = jax.make_jaxpr(values, return_shape=True)(abstract_data(structure.avals), key)
    names: dict[Any, frozenset[str]] = {}
    arguments = zip(structure.program.array_names, traced.jaxpr.invars, strict=False)
    for name, variable in (*arguments, *zip(sorted(shapes), traced.jaxpr.outvars, strict=True)):
        if not isinstance(variable, Literal):
            names[variable] = names.get(variable, frozenset()) | {name}
    return sine_arguments(traced.jaxpr, names)
