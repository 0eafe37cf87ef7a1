"""What a traced program says of itself: its fingerprint, the functions that it calls on the host, and of what it takes sines."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, jaxprs_in_params

__all__ = ["fingerprint_of", "host_call", "sine_arguments"]

Names = frozenset[str]
"""Of arguments and sites, that a variable goes by."""


def fingerprint_of(jaxpr: ClosedJaxpr, sites: tuple[Any, ...]) -> str:
    """SHA-256 of the traced program: the same in another process, another when a prior or an equation changes."""
    text = re.sub(r"0x[0-9a-f]+", "", jaxpr.jaxpr.pretty_print(use_color=False)) + "".join(map(repr, sites))
    digest = hashlib.sha256(text.encode())
    for constant in _constants(jaxpr):
        digest.update(np.asarray(constant).tobytes())
    return digest.hexdigest()


def host_call(jaxpr: Any) -> str | None:
    """Name of the first function that is called on the host and has no gradient; one with its own rule has."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("pure_callback", "io_callback"):
            function = equation.params["callback"].callback_func
            return str(getattr(function, "name", None) or getattr(function, "__name__", type(function).__name__))
        if equation.primitive.name.startswith(("custom_jvp_call", "custom_vjp_call")):
            continue
        for inner in jaxprs_in_params(equation.params):
            if (name := host_call(inner)) is not None:
                return name
    return None


def sine_arguments(jaxpr: Any, names: Mapping[Any, Names]) -> Names:
    """Names of the variables of which a sine, cosine or tangent is taken with no factor before it but 1/2, 1, 2, 3 or 4.

    On the way there are sums, remainders, bounds, choices, and entries or other shapes of arrays; what has been converted to
    radians has been multiplied by π/180. Arrays that are joined, and loops without a fixed number of steps, are not followed.

    Parameters
    ----------
    jaxpr : jax.extend.core.Jaxpr
    names : mapping of variable to set of str
        Which names each variable goes by: those of the jaxpr's arguments, and of values within it.
    """
    return _followed(jaxpr, names)[0]


def _followed(jaxpr: Any, names: Mapping[Any, Names]) -> tuple[Names, list[Names]]:
    """Names of which a sine is taken, and those that each of the outputs goes by."""
    known: dict[Any, Names] = dict(names)

    def of(variable: Any) -> Names:
        return frozenset() if isinstance(variable, Literal) else known.get(variable, frozenset())

    taken: Names = frozenset()
    for equation in jaxpr.eqns:
        kind, found = equation.primitive.name, [of(variable) for variable in equation.invars]
        outputs = [frozenset().union(*_kept(equation, found))] * len(equation.outvars)
        if kind in ("sin", "cos", "tan"):
            taken |= found[0]
        elif kind in _CALLS:
            given = found[1:] if kind == "cond" else found
            inner = [_followed(body, dict(zip(body.invars, given, strict=True))) for body in _bodies(equation, given)]
            taken = taken.union(*(part for part, _ in inner))
            outputs = [frozenset().union(*parts) for parts in zip(*(part for _, part in inner), strict=False)]
        for variable, added in zip(equation.outvars, outputs, strict=False):
            known[variable] = of(variable) | added
    return taken, [of(variable) for variable in jaxpr.outvars]


def _kept(equation: Any, found: list[Names]) -> list[Names]:
    """Names of those operands that an equation passes on without a factor."""
    kind = equation.primitive.name
    if kind in ("mul", "div"):
        factors = [isinstance(v, Literal) and np.size(v.val) == 1 and float(np.abs(v.val)) for v in equation.invars]
        is_first, is_second = factors[1] in _FACTORS, kind == "mul" and factors[0] in _FACTORS
        return [found[0]] * is_first + [found[1]] * is_second
    if kind in ("select_n", "clamp"):
        return found[1:]
    return found[: _PASSING.get(kind, 0)]


def _bodies(equation: Any, given: list[Names]) -> list[Any]:
    """Functions within an equation that take its operands one by one."""
    found = [getattr(inner, "jaxpr", inner) for inner in jaxprs_in_params(equation.params)]
    return [inner for inner in found if len(inner.invars) == len(given)]


_FACTORS = (0.5, 1.0, 2.0, 3.0, 4.0)
"""Harmonics of angles, and half-angles: rational numbers, which make no radians of degrees."""

_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "remat",
    "remat2",
    "checkpoint",
    "custom_jvp_call",
    "custom_vjp_call",
    "scan",
    "cond",
)
"""Primitives that call functions on their operands; of a scan one step is followed."""

_PASSING = (
    dict.fromkeys(("add", "add_any", "sub", "max", "min"), 2)
    | dict.fromkeys(("neg", "abs", "rem", "copy", "copy_p", "convert_element_type", "reduce_precision"), 1)
    | dict.fromkeys(("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "transpose", "rev"), 1)
    | dict.fromkeys(("slice", "dynamic_slice", "gather", "cumsum", "reduce_max", "reduce_min"), 1)
)
"""Primitives that leave an angle one in the same unit, and how many of their first operands are such."""


def _constants(jaxpr: ClosedJaxpr) -> Iterator[Any]:
    """Arrays that a traced program closes over, with those of the functions compiled within it."""
    yield from jaxpr.consts
    for equation in jaxpr.jaxpr.eqns:
        for leaf in jax.tree.leaves(equation.params):
            if isinstance(leaf, ClosedJaxpr):
                yield from _constants(leaf)
