"""Code that JAX cannot trace (CLASS, XSPEC, a C library), made callable within a program.

The function runs on the host, through `jax.pure_callback`. It has no gradient: a problem whose program calls it does
not provide ``gradient``, unless the call is wrapped in `jax.custom_jvp` or `jax.custom_vjp`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.hints import told

__all__ = ["external"]

Shape = tuple[int, ...]


def external(
    fn: Callable[..., Any],
    shape: int | Shape | Callable[..., Shape],
    dtype: Any = float,
    *,
    vectorised: bool = False,
) -> Callable[..., jax.Array]:
    """Make a function of NumPy arrays callable within a program.

    Parameters
    ----------
    fn : callable
        Takes NumPy arrays (numbers become arrays of no axes) and returns one. It must be a function of its arguments
        alone: it may be called any number of times, in any order. Where it cannot compute, let it return NaN: an
        engine rejects such a point and counts it. An exception ends the run.
    shape : int, tuple of int, or callable
        Shape of what `fn` returns; or a function of the arguments' shapes that gives it.
    dtype : dtype
        Of what `fn` returns. Under ``precision="single"`` it is narrowed.
    vectorised : bool
        Whether `fn` also takes arguments with leading axes, each of the same length or 1, and returns its values with
        them; engines then call it once for many points instead of once for each.

    Returns
    -------
    callable
        Of JAX arrays; without a gradient.

    Raises
    ------
    TypeError
        If `fn` is not callable, or `dtype` or an argument is not of real numbers.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> spectrum = ba.external(lambda slope: slope * np.arange(3.0), shape=3)
    >>> def program():
    ...     slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("flux", dist.Normal(spectrum(slope), 1.0).to_event(1))
    >>> problem = ba.Problem(program, observed={"flux": np.ones(3)})
    >>> "gradient" in problem.provides
    False
    """
    if not callable(fn):
        raise TypeError(f"`external` needs a function, but {told(fn)} came.")

    if np.dtype(dtype).kind not in "biuf":
        raise TypeError(f"`external` passes real numbers, but `dtype` is `{np.dtype(dtype)}`. {_PARTS}")

    @functools.wraps(fn, updated=())
    def call(*arguments: Any) -> jax.Array:
        arrays = [jnp.asarray(argument) for argument in arguments]
        if unfit := [array.dtype for array in arrays if array.dtype.kind not in "biuf"]:
            raise TypeError(f"The external function `{_name(fn)}` takes real numbers, but `{unfit[0]}` came. {_PARTS}")
        own = shape(*(array.shape for array in arrays)) if callable(shape) else shape
        own = (int(own),) if isinstance(own, int | np.integer) else tuple(own)
        result = jax.ShapeDtypeStruct(own, jax.dtypes.canonicalize_dtype(dtype))
        avals = tuple((array.ndim, array.dtype) for array in arrays)
        sent = jax.ShapeDtypeStruct((*own, 2), np.dtype("uint32")) if _is_wide(result.dtype) else result
        method = "expand_dims" if vectorised else "sequential"
        words = jax.pure_callback(_OnHost(fn, avals, result), sent, *map(_to_words, arrays), vmap_method=method)
        return jax.lax.bitcast_convert_type(words, result.dtype) if _is_wide(result.dtype) else words

    return call


_PARTS = "Pass real and imaginary parts along an axis of their own."


class _OnHost:
    """What JAX calls: hands NumPy arrays to the function and checks what comes back. Equal where the function is."""

    def __init__(
        self, fn: Callable[..., Any], avals: tuple[tuple[int, np.dtype], ...], result: jax.ShapeDtypeStruct
    ) -> None:
        self.fn, self.avals, self.result = fn, avals, result
        self.name = _name(fn)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OnHost) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"<external {getattr(self.fn, '__module__', '')}.{getattr(self.fn, '__qualname__', self.name)}>"

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self.fn, self.avals, self.result

    def __call__(self, *words: Any) -> np.ndarray:
        arguments = [_value(np.asarray(word), dtype) for word, (_, dtype) in zip(words, self.avals, strict=True)]
        try:
            value = self.fn(*arguments)
        except Exception as error:
            raise RuntimeError(
                f"The external function `{self.name}` raised {type(error).__name__}: {error}. Correct it, or let it "
                "return NaN where it cannot compute."
            ) from error
        leading = [a.shape[: a.ndim - ndim] for a, (ndim, _) in zip(arguments, self.avals, strict=True)]
        checked = self._checked(value, np.broadcast_shapes(*leading))
        return checked[..., None].view(np.uint32) if _is_wide(checked.dtype) else checked

    def _checked(self, value: Any, leading: Shape) -> np.ndarray:
        array, wanted = np.asarray(value), (*leading, *self.result.shape)
        # Integers may become floats; floats are narrowed only where the run is in single precision.
        if array.dtype.kind not in "biufc" or not np.can_cast(array.dtype, self.result.dtype, casting="same_kind"):
            raise RuntimeError(
                f"The external function `{self.name}` returned dtype `{array.dtype}`, but `{self.result.dtype}` is "
                "declared. Give `external` the `dtype` that the function returns."
            )
        if array.shape != wanted:
            batched = f" for arguments with the leading axes {leading}" if leading else ""
            raise RuntimeError(
                f"The external function `{self.name}` returned shape {array.shape}, but {wanted} is declared{batched}. "
                "Give `external` the `shape` that the function returns."
            )
        return array.astype(self.result.dtype)


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _to_words(array: jax.Array) -> jax.Array:
    """Eight-byte numbers as two four-byte words along a last axis.

    JAX may run the function in a thread of its own, where double precision is not switched on and whatever passes
    would be narrowed on its way.
    """
    return jax.lax.bitcast_convert_type(array, jnp.uint32) if _is_wide(array.dtype) else array


def _value(words: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.ascontiguousarray(words).view(dtype)[..., 0] if _is_wide(dtype) else words


def _is_wide(dtype: np.dtype) -> bool:
    return dtype.itemsize == 8
