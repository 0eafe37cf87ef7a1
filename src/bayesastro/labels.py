"""Names: of the scalars of named arrays, of variables and results, and lists of them for messages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayesastro.hints import did_you_mean

__all__ = ["check_variable", "labels_of", "listed", "results_by_name", "rows_named"]

MOST_LISTED = 8


def labels_of(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> list[str]:
    """A name for each scalar of the named shapes."""
    return [
        f"{name}[{', '.join(map(str, index))}]" if index else name
        for name, shape in shapes
        for index in np.ndindex(shape)
    ]


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def check_variable(name: str, known: Iterable[Any], what: str) -> None:
    """Raise unless a posterior has the variable; `what` begins the sentence, such as "`truths` names".

    Raises
    ------
    ValueError
    """
    names = [str(other) for other in known]
    if name not in names:
        have = listed([f"`{other}`" for other in names]) or "no variables"
        raise ValueError(f"{what} `{name}`, but the posterior has {have}.{did_you_mean(name, names)}")


def rows_named(names: Sequence[str], rows: Iterable[Any], known: Iterable[Any], what: str) -> list[str]:
    """Rows of a table of scalars, such as ``a[0, 1]``, by names of variables or of rows; `what` begins a refusal.

    Raises
    ------
    ValueError
        If a variable has no such row.
    """
    variables, labels, chosen = list(map(str, known)), list(map(str, rows)), []
    for name in names:
        variable = name if name in variables else name.partition("[")[0]
        own = [row for row in labels if (row if row in variables else row.rpartition("[")[0]) == variable]
        found = own if name == variable else [row for row in own if row.replace(" ", "") == name.replace(" ", "")]
        if not found:
            raise ValueError(
                f"{what} `{name}`, but the rows of `{variable}` are `{own[0]}` to `{own[-1]}`. Name one of them."
            )
        chosen += found
    return list(dict.fromkeys(chosen))


def results_by_name(results: Any, function: str) -> dict[str, xr.DataTree]:
    """The results that a function was given by their names.

    Raises
    ------
    TypeError
        If they came in another way, such as in a list.
    """
    if not isinstance(results, Mapping) or isinstance(results, xr.DataTree):
        raise TypeError(
            f'`{function}` needs results by name, such as `{{"one": result, "two": other}}`, but a '
            f"`{type(results).__name__}` came."
        )
    return dict(results)
