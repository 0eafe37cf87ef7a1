"""The table of a posterior that commands print: parameters first, long vectors cut, and single scalars on request."""

from collections.abc import Iterable, Sequence

import pandas as pd
import xarray as xr

from bayesastro.commands.wording import in_options
from bayesastro.labels import check_variable
from bayesastro.result import real_variables, summary

__all__ = ["as_printed", "check_names", "summary_of"]

MOST_ROWS = 10
"""Rows of a variable that has more of them."""


def summary_of(result: xr.DataTree, names: Sequence[str] = ()) -> pd.DataFrame:
    """A summary of all variables, parameters before deterministic sites; or of those named, which may be scalars such as ``a[0]``.

    Raises
    ------
    ValueError
        If the result has no such variable.
    """
    if not names:
        return summary(result, _in_order(result))
    known = [str(name) for name in result["posterior"].data_vars]
    asked = [name if name in known else name.partition("[")[0] for name in names]
    with in_options(var_names="--var"):
        table = summary(result, list(dict.fromkeys(asked)))
    chosen = []
    for name, variable in zip(names, asked, strict=True):
        rows = [row for row in table.index if _variable(row, [variable]) == variable]
        found = rows if name == variable else [row for row in rows if row.replace(" ", "") == name.replace(" ", "")]
        if not found:
            raise ValueError(
                f"`--var {name}`: the rows of `{variable}` are `{rows[0]}` to `{rows[-1]}`. Name one of them."
            )
        chosen += found
    return table.loc[list(dict.fromkeys(chosen))]


def check_names(names: Sequence[str], known: Iterable[str]) -> None:
    """Raise unless a posterior of these variables will have the named.

    Raises
    ------
    ValueError
    """
    variables = list(known)
    for name in names:
        check_variable(name if name in variables else name.partition("[")[0], variables, "`--var` names")


def as_printed(table: pd.DataFrame, result: xr.DataTree, names: Sequence[str] = ()) -> str:
    """A summary as text, of unnamed long variables the first rows only, and how to see the others."""
    rows = [str(row) for row in table.index]
    variables = [_variable(row, list(map(str, result["posterior"].data_vars))) for row in rows]
    kept, more = [], {}
    for row, variable in zip(rows, variables, strict=True):
        if variables.count(variable) > MOST_ROWS and variable not in names:
            more[variable] = more.get(variable, 0) + 1
            if more[variable] > MOST_ROWS:
                continue
        kept.append(row)
    shown = table.loc[kept]
    lines = [f"{number - MOST_ROWS} more rows of `{variable}`: `--var {variable}`" for variable, number in more.items()]
    with pd.option_context("display.max_rows", None):
        return "\n".join([str(shown), *lines])


def _in_order(result: xr.DataTree) -> list[str]:
    """Variables that have a summary: parameters, then what is computed from them."""
    real = real_variables(result)
    return sorted(map(str, real.data_vars), key=lambda name: real[name].attrs.get("site") == "deterministic")


def _variable(row: str, known: Sequence[str]) -> str:
    """Of which a row is: its whole label, or what stands before the index."""
    return row if row in known else row.rpartition("[")[0]
