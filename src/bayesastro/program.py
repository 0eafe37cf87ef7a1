"""A NumPyro program with its arguments, split into what is compiled and what is data.

Data are every array leaf of the program's arguments and the observed values; all else (a grid size, a flag, a
Python number) is static. The static half, :class:`Program`, is hashable and is what compiled functions are cached
by; the other half, :class:`Data`, is an argument of those functions. Nothing of a data set is ever compiled in.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import handlers

from bayesastro.containers import advice, require_numbers
from bayesastro.hints import did_you_mean, told
from bayesastro.precision import native
from bayesastro.units import carries_unit, plain, require_unmasked

__all__ = [
    "Data",
    "Program",
    "bind",
    "checked_array",
    "checked_observed",
    "data_set",
    "observing",
    "traced",
]


class Data(NamedTuple):
    """Everything a fit may exchange without compiling anew: a pytree of arrays.

    Attributes
    ----------
    arrays : tuple of arrays
        The array leaves of the program's arguments, in the order of `Program.array_names`.
    observed : dict of str to array
        Observed values by site name.
    """

    arrays: tuple[Any, ...]
    observed: dict[str, Any]


def data_set(data: Data, axes: Data, index: Any) -> Data:
    """One data set of a stack, or several (an array of numbers, a slice).

    Parameters
    ----------
    data : Data
        With the data sets along the leading axis where `axes` is 0; where it is None all share an array.
    """

    def chosen(array: np.ndarray, axis: int | None) -> np.ndarray:
        return array if axis is None else array[index]

    arrays = tuple(map(chosen, data.arrays, axes.arrays))
    return Data(arrays, {name: chosen(array, axes.observed[name]) for name, array in data.observed.items()})


@dataclass(frozen=True)
class Program:
    """The static half of a program's call: what to call, and its arguments with the arrays taken out."""

    function: Callable[..., Any]
    treedef: Any
    static: tuple[Any, ...]
    array_names: tuple[str, ...]
    types: tuple[type, ...]
    """Of the static leaves: 1, 1.0 and True are equal, yet not the same program."""

    def __call__(self, arrays: Sequence[Any]) -> Any:
        """Run the NumPyro program with `arrays` put back into its arguments."""
        args, kwargs = self.arguments(arrays)
        return self.function(*args, **kwargs)

    def arguments(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments with `arrays` put back into them."""
        remaining = iter(arrays)
        return jax.tree.unflatten(self.treedef, [next(remaining) if leaf is _ARRAY else leaf for leaf in self.static])

    def changed(
        self, arrays: Sequence[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments with `arrays` put back into them, some of them exchanged.

        Parameters
        ----------
        arrays : sequence of array
        args : tuple
            In place of all positional ones; these are kept if there are none.
        kwargs : mapping
            In place of those of the same name, whichever way they had been given.

        Raises
        ------
        TypeError
            If the program has no argument of a name.
        """
        old_args, old_kwargs = self.arguments(arrays)
        parameters = inspect.signature(self.function).parameters
        _check_known(self.function, parameters, kwargs)
        places = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if args:
            return args, {n: v for n, v in old_kwargs.items() if n not in places[: len(args)]} | dict(kwargs)
        placed = dict(zip(places, range(len(old_args)), strict=False))
        exchanged = list(old_args)
        for name in placed.keys() & kwargs.keys():
            exchanged[placed[name]] = kwargs[name]
        return tuple(exchanged), old_kwargs | {n: v for n, v in kwargs.items() if n not in placed}


def _check_known(
    function: Callable[..., Any], parameters: Mapping[str, inspect.Parameter], names: Iterable[str]
) -> None:
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in names:
        if name not in parameters:
            program = getattr(function, "__name__", repr(function))
            raise TypeError(
                f"The program `{program}{inspect.signature(function)}` has no argument `{name}`."
                f"{did_you_mean(name, parameters)}"
            )


class _Array:
    """Marks, among the static leaves, the place of an array."""

    def __repr__(self) -> str:
        return "<array>"


_ARRAY = _Array()


def bind(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], units: Mapping[str, str] | None
) -> tuple[Program, tuple[np.ndarray, ...]]:
    """Split a call ``function(*args, **kwargs)`` into its static half and its arrays, in the units declared for them.

    Raises
    ------
    TypeError
        If the arguments do not fit the program's signature, or one is neither array nor hashable, or is a list of
        numbers or a masked array.
    ValueError
        If one is not finite, or is in a unit of another kind than the program's.
    """
    if not callable(function):
        raise TypeError(
            f"`Problem` needs a NumPyro program (a function that calls `numpyro.sample`), but {told(function)} came."
        )
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        name = getattr(function, "__name__", repr(function))
        raise TypeError(
            f"The arguments do not fit the program `{name}{inspect.signature(function)}`: {error}.{_meant(args, kwargs)}"
        ) from None
    positional = [*bound.arguments][: len(args)]
    flat, treedef = jax.tree_util.tree_flatten_with_path((args, dict(kwargs)), is_leaf=_is_array)
    static, arrays, names = [], [], []
    for path, leaf in flat:
        name = _leaf_name(path, positional)
        if _is_number(leaf) and len(path) > 2 and isinstance(_container((args, kwargs), path), list):
            way = "one quantity, with `astropy.units.Quantity`" if carries_unit(leaf) else "an array, with `np.asarray`"
            raise TypeError(
                f"Argument `{_shown_name(path, positional)}` is part of a list of numbers. Pass the list as {way}."
            )
        require_numbers(leaf, f"Argument `{name}`")
        if _is_array(leaf):
            names.append(name)
            arrays.append(checked_array(plain(leaf, name, units), f"argument `{name}`"))
            static.append(_ARRAY)
        else:
            _check_static(leaf, name)
            static.append(leaf)
    return Program(function, treedef, tuple(static), tuple(names), tuple(map(type, static))), tuple(arrays)


def _meant(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """What an argument may have meant that the program does not have, as a sentence with a space before it; else empty."""
    if args and isinstance(args[-1], Mapping):
        return " Observed values are given by name, `observed={...}`."
    return next(filter(None, (did_you_mean(name, OPTIONS) for name in kwargs)), "")


OPTIONS = ("observed", "prior_factors", "units")
"""Keywords of a `Problem` that are none of its program."""


def _container(tree: Any, path: Sequence[Any]) -> Any:
    """What directly holds the leaf at `path`; a list of numbers was meant as an array, a tuple is a setting."""
    for step in path[:-1]:
        if isinstance(step, jax.tree_util.GetAttrKey):
            tree = getattr(tree, step.name)
        else:
            tree = tree[step.idx if isinstance(step, jax.tree_util.SequenceKey) else step.key]
    return tree


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) or (carries_unit(leaf) and np.ndim(leaf) == 0)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | np.generic | jax.Array)


def checked_array(leaf: Any, what: str) -> np.ndarray:
    """`leaf` as a finite NumPy array in native byte order; `what` names it in errors."""
    require_unmasked(leaf, f"The {what}")
    require_numbers(leaf, f"The {what}")
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise TypeError(f"The {what} is a random key. A program's randomness must come from `numpyro.sample` sites.")
    try:
        array = native(leaf)
    except ValueError:
        raise ValueError(f"The {what} has rows of unequal lengths. Give an array, all rows of one length.") from None
    if array.dtype.kind not in "biufc" or array.dtype in (np.longdouble, np.clongdouble):
        raise TypeError(f"The {what} has dtype `{array.dtype}`. Pass numbers of at most double precision.")
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"The {what} has {int(bad.sum())} non-finite value(s), the first at index {first}. Remove them, or fill "
            "them with finite numbers and exclude them with `numpyro.handlers.mask` in the program."
        )
    return array


def checked_observed(observed: Mapping[str, Any] | None, units: Mapping[str, str] | None) -> dict[str, np.ndarray]:
    """Observed values as finite NumPy arrays by site name, in the units declared for them.

    Raises
    ------
    TypeError
        If `observed` is not a mapping, or a value is masked, is complex or is no number.
    ValueError
        If a value is not finite, or is in a unit of another kind than the program's.
    """
    if observed is None:
        return {}
    if not isinstance(observed, Mapping):
        remedy = f" {advice(observed)}." if advice(observed) else ""
        raise TypeError(f"`observed` must map site names to arrays, but {told(observed)} came.{remedy}")
    if empty := [name for name, value in observed.items() if value is None]:
        raise TypeError(f"The observed `{empty[0]}` is None. Give an array, or leave a site out that was not observed.")
    if unfit := [name for name in observed if not isinstance(name, str)]:
        raise TypeError(f"`observed` must map site names to arrays, but its keys include {unfit[0]!r}.")
    arrays = {name: checked_array(plain(value, name, units), f"observed `{name}`") for name, value in observed.items()}
    for name, array in arrays.items():
        if np.iscomplexobj(array):
            raise TypeError(
                f"The observed `{name}` is complex, but distributions are real. Give real and imaginary parts along an "
                "axis of their own."
            )
    return arrays


def _check_static(leaf: Any, name: str) -> None:
    try:
        hash(leaf)
    except TypeError:
        raise TypeError(
            f"Argument `{name}` is a {type(leaf).__name__}, neither an array nor hashable. Pass arrays with "
            "`np.asarray`; settings must be hashable."
        ) from None


def _leaf_name(path: Sequence[Any], positional: Sequence[str]) -> str:
    """The name under which a user knows an argument leaf: ``time``, or ``lens.theta_E`` within a dict."""
    group, place, *rest = path
    inner = jax.tree_util.keystr(tuple(rest), simple=True, separator=".")
    head = str(positional[min(place.idx, len(positional) - 1)]) if group.idx == 0 else str(place.key)
    return f"{head}.{inner}" if rest else head


def _shown_name(path: Sequence[Any], positional: Sequence[str]) -> str:
    """The same as Python writes it: ``time[0]`` within a list."""

    def inner(step: Any) -> str:
        is_place = isinstance(step, jax.tree_util.SequenceKey)
        return f"[{step.idx}]" if is_place else f".{jax.tree_util.keystr((step,), simple=True)}"

    return _leaf_name(path[:2], positional) + "".join(map(inner, path[2:]))


def observing(data: Data) -> Callable[..., Any]:
    """Handler that gives the observed sites their values; as JAX arrays, for a scan indexes them by a traced step."""
    return functools.partial(handlers.condition, data=jax.tree.map(jnp.asarray, data.observed))


@contextmanager
def traced(program: Program, data: Data, *outer: Callable[..., Any], validate: bool = True) -> Iterator[dict[str, Any]]:
    """The sites of one run of the program on `data`, under the `outer` handlers (innermost first).

    NumPyro's validation is switched on meanwhile: only then is the log-density −inf outside a support. With
    ``validate=False`` it is off: a wrong parameter then does not stop the run, and can be reported with its site.
    """
    function: Callable[..., Any] = program
    for handler in outer:
        function = handler(function)
    with numpyro.validation_enabled(validate):
        yield handlers.trace(function).get_trace(jax.tree.map(jnp.asarray, data.arrays))
