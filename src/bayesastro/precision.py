"""Working precision: float64 inside a context, JAX's global flag left alone.

Times of 2,459,000 days, log-densities of 10⁶ terms and mass matrices of badly scaled posteriors need double
precision, while the user's other JAX code may rely on single. Hence every public function of the package enters
:func:`working_precision`, computes, and leaves with NumPy arrays.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import jax
import numpy as np

from bayesastro.hints import told

__all__ = ["Precision", "native", "to_numpy", "validate_precision", "working_precision"]

Precision = Literal["double", "single"]


def validate_precision(precision: str) -> None:
    """Raise if `precision` is not a known name.

    Raises
    ------
    ValueError
        If `precision` is neither ``"double"`` nor ``"single"``.
    """
    if precision not in ("double", "single"):
        raise ValueError(f'`precision` must be "double" or "single", but {told(precision)} came.')


@contextmanager
def working_precision(precision: Precision) -> Iterator[None]:
    """Trace and run JAX code in float64 (``"double"``) or float32 (``"single"``) within the context."""
    with jax.enable_x64(precision == "double"):
        yield


def native(leaf: Any) -> np.ndarray:
    """A NumPy array of its own, in the machine's byte order, floats in double precision.

    Arrays read from FITS files are big-endian, which JAX refuses, and often single, which would spread.
    """
    array = np.array(leaf)
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def to_numpy(tree: Any) -> Any:
    """Copy every JAX array of a pytree to the host, as NumPy."""
    return jax.tree.map(lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf, tree)
