"""What a traced program says of itself: its fingerprint, and the functions that it calls on the host."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxprs_in_params

__all__ = ["fingerprint_of", "host_call"]


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


def _constants(jaxpr: ClosedJaxpr) -> Iterator[Any]:
    """Arrays that a traced program closes over, with those of the functions compiled within it."""
    yield from jaxpr.consts
    for equation in jaxpr.jaxpr.eqns:
        for leaf in jax.tree.leaves(equation.params):
            if isinstance(leaf, ClosedJaxpr):
                yield from _constants(leaf)
