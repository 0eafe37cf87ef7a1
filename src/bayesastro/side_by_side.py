"""A function over many rows with bounded memory."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bayesastro.structure import Structure

__all__ = ["over_rows", "rows_together"]

VALUES_TOGETHER = 2**19
"""Values of sites that are computed side by side: what a program makes on the way to an image takes a hundred times as much."""


def rows_together(structure: Structure) -> int:
    """How many draws of a program are computed side by side."""
    size = sum(math.prod(site.shape) for site in structure.sites)
    return max(1, VALUES_TOGETHER // max(size, 1))


def over_rows(function: Callable[..., Any], rows: Any, together: int) -> Any:
    """`function` at each row, at most `together` of them at a time.

    Parameters
    ----------
    function : callable
        Of one row.
    rows : pytree of arrays, shape (num, ...)
    together : int
    """
    number = len(jax.tree.leaves(rows)[0])
    num_calls = -(-number // together)
    if num_calls <= 1:
        return jax.vmap(function)(rows)
    # Calls of one width, the last filled up: the body is compiled once.
    width = -(-number // num_calls)
    index = np.minimum(np.arange(num_calls * width), number - 1).reshape(num_calls, width)
    found = jax.lax.map(jax.vmap(function), jax.tree.map(lambda array: array[index], rows))
    return jax.tree.map(lambda array: array.reshape(num_calls * width, *array.shape[2:])[:number], found)
