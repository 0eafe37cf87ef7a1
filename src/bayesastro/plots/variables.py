"""Variables of a result and the scalars in them, by the names that `summary` prints."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesastro.hints import did_you_mean
from bayesastro.labels import listed
from bayesastro.plots.style import axis_label
from bayesastro.result import require_one

__all__ = [
    "Scalar",
    "asked_names",
    "entries",
    "median_of",
    "own_label",
    "posterior_of",
    "require_draws",
    "require_mapping",
    "rest_of",
    "scalars",
    "variable",
]

MOST_PANELS = 20

ENTRY = re.compile(r"(.+)\[([^\[\]]*)\]", re.DOTALL)


def variable(result: xr.DataTree, name: str, group: str = "posterior") -> xr.DataArray:
    """A variable of a result, or a part of it: ``v[0]``, and of a matrix the entry ``m[0, 1]`` or all of ``m[0]``.

    Raises
    ------
    TypeError
        If it is no result.
    ValueError
        If there is none of this name, or no such part, or the result is of several data sets.
    """
    values, at = _found(result, name, group)
    return values.isel(at)


def entries(result: xr.DataTree, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and draws, of shape (chain, draw), of each scalar in a variable of the posterior or in a part of it.

    Raises
    ------
    TypeError, ValueError
        As for `variable`, and if it does not hold draws of real numbers.
    """
    values, at = _found(result, name, "posterior")
    require_draws(values)
    if values.dtype.kind == "c":
        raise ValueError(f"`{name}` is complex, but pictures show real numbers. Show its modulus and phase.")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"`{name}` holds no numbers but {values.dtype}. Leave it out.")
    dims = values.dims[2:]
    ticks = [values[dim].values for dim in dims]
    for index in itertools.product(*([at[d]] if d in at else range(values.sizes[d]) for d in dims)):
        place = ", ".join(str(tick[i]) for tick, i in zip(ticks, index, strict=True))
        yield f"{values.name}[{place}]" if dims else str(values.name), values.values[:, :, *index].astype(float)


def _found(result: xr.DataTree, name: str, group: str) -> tuple[xr.DataArray, dict[Any, int]]:
    """The variable that is named or of which a part is, and the numbers along its own first dimensions that make the part."""
    require_one(result)
    if not isinstance(name, str):
        raise TypeError(f"A variable is named by a string, but {name!r} came.")
    known = result[group].to_dataset() if group in result.children else xr.Dataset()
    if name in known:
        return known[name], {}
    match = ENTRY.fullmatch(name)
    if match is None or match[1] not in known:
        names = list(map(str, known.data_vars))
        have = ", ".join(names) or ("no variables" if group in result.children else "no such group")
        base = name if match is None else match[1]
        raise ValueError(f"The result has no variable `{name}` in `{group}`; it has {have}.{did_you_mean(base, names)}")
    values = known[match[1]]
    dims = [dim for dim in values.dims if dim not in ("chain", "draw")]
    if not dims:
        raise ValueError(f"`{match[1]}` is a scalar, so that there is no `{name}`. Name it without brackets.")
    asked = match[2].split(",") if len(dims) > 1 else [match[2]]
    ticks = [list(map(str, values[dim].values)) for dim in dims]
    parts = zip(dims, ticks, map(str.strip, asked), strict=False)
    at = {dim: tick.index(part) for dim, tick, part in parts if part in tick}
    if len(at) < len(asked):
        ends = (f"[{', '.join(tick[i] for tick in ticks)}]" for i in (0, -1)) if values.size else ()
        have = " to ".join(f"`{match[1]}{end}`" for end in ends) or "none"
        raise ValueError(f"`{match[1]}` has no entry `{name}`; its entries are {have}.")
    return values, at


def require_draws(values: xr.DataArray) -> None:
    """Raise unless the first dimensions of a variable are chain and draw.

    Raises
    ------
    ValueError
    """
    if values.dims[:2] != ("chain", "draw"):
        raise ValueError(f"`{values.name}` has the dimensions {values.dims}. Give it `chain` and `draw`, in front.")


def posterior_of(result: xr.DataTree, what: str = "The result") -> xr.Dataset:
    """Draws of a result of one data set.

    Raises
    ------
    TypeError
        If it is no result.
    ValueError
        If it has no posterior, or no draws, or is of several data sets.
    """
    require_one(result, what)
    if "posterior" not in result.children:
        raise ValueError(f"{what} has no group `posterior`; it has {', '.join(result.children) or 'none'}.")
    posterior = result["posterior"].to_dataset()
    if not all(posterior.sizes.get(dim, 1) for dim in ("chain", "draw")):
        raise ValueError(
            f"{what} has no draws: the run stopped in its warm-up. Go on from its checkpoint, or run it for longer."
        )
    return posterior


def median_of(result: xr.DataTree, name: str) -> float:
    """Posterior median of one scalar.

    Raises
    ------
    TypeError, ValueError
        As for `entries`, and if it is no scalar, or its median is not finite.
    """
    posterior_of(result)
    found = list(itertools.islice(entries(result, name), 2))
    if len(found) != 1:
        raise ValueError(f"`{name}` must be one number, but has several. Name one of them, such as `{found[0][0]}`.")
    median = float(np.median(found[0][1]))
    if not np.isfinite(median):
        raise ValueError(f"The posterior median of `{name}` is {median}. Give a number in its place.")
    return median


def asked_names(var_names: Any) -> list[str] | None:
    """Names as they were asked for, in a list; None if none were.

    Raises
    ------
    TypeError
        If these are no names.
    """
    if var_names is None:
        return None
    names = [var_names] if isinstance(var_names, str) else var_names
    if not isinstance(names, Sequence | np.ndarray | Mapping | set) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"`var_names` must be names of variables, but {var_names!r} came.")
    return [str(name) for name in names]


def require_mapping(value: Any, name: str) -> None:
    """Raise unless an argument by variable is that, or None.

    Raises
    ------
    TypeError
    """
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"`{name}` must be a mapping by variable, but {value!r} came.")


def own_label(labels: Mapping[str, str] | None, entry: str, unit: str) -> str:
    """Label of a scalar's axis: one given for it, or for its variable with the index after it; else its name and unit."""
    labels = labels or {}
    match = ENTRY.fullmatch(entry)
    if entry in labels or match is None or match[1] not in labels:
        return labels.get(entry) or axis_label(entry, unit)
    symbol, gap, rest = labels[match[1]].partition(" [")
    return f"{symbol}[{match[2]}]{gap}{rest}"


def rest_of(result: xr.DataTree, shown: Sequence["Scalar"]) -> str:
    """How many of a result's scalars are shown, for a title; empty if all are."""
    sizes = [
        int(np.prod(values.shape[2:]))
        for values in result["posterior"].data_vars.values()
        if values.dtype.kind in "biuf"
    ]
    return f"the first {len(shown)} of {sum(sizes)} scalars" if sum(sizes) > len(shown) else ""


class Scalar(NamedTuple):
    """One number of the posterior."""

    name: str
    label: str
    draws: np.ndarray
    """Shape (chain, draw)."""


def scalars(
    result: xr.DataTree, var_names: str | Sequence[str] | None, labels: Mapping[str, str] | None = None
) -> list[Scalar]:
    """Real scalars of the posterior, entries of arrays among them; by default the first twenty.

    Raises
    ------
    TypeError
        If it is no result, or `var_names` are no names.
    ValueError
        If a variable is missing or complex, there is nothing to show, more than twenty were asked for, or the result is
        of several data sets or has no draws.
    """
    posterior = posterior_of(result)
    require_mapping(labels, "labels")
    asked = asked_names(var_names)
    names = [str(n) for n, v in posterior.items() if v.dtype.kind in "biuf"] if asked is None else asked
    every = itertools.chain.from_iterable(entries(result, name) for name in names)
    found = dict(itertools.islice(every, MOST_PANELS + 1))
    if not found:
        raise ValueError("There is no scalar variable to show.")
    if len(found) > MOST_PANELS and asked is not None:
        raise ValueError(
            f"At most {MOST_PANELS} scalars fit into a picture, but `var_names` has more: {listed(list(found))}."
        )
    shown = list(found.items())[:MOST_PANELS]
    units = {entry: str(variable(result, entry).attrs.get("units", "")) for entry, _ in shown}
    return [Scalar(entry, own_label(labels, entry, units[entry]), draws) for entry, draws in shown]
