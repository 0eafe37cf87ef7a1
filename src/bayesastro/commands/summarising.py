"""The table of a posterior that commands print: long vectors cut, single scalars on request, in the words of options."""

from collections.abc import Iterable, Sequence

import pandas as pd
import xarray as xr

from bayesastro.commands.wording import in_options
from bayesastro.labels import check_variable
from bayesastro.result import summary
from bayesastro.tables import CUT

__all__ = ["check_names", "summary_of"]


def summary_of(result: xr.DataTree, names: Sequence[str] = ()) -> pd.DataFrame:
    """A summary of all variables, of which it prints long ones cut; or of those named, which may be scalars such as ``a[0]``.

    Raises
    ------
    ValueError
        If the result has no such variable.
    """
    if not names:
        table = summary(result)
        table.attrs[CUT] = {name: f"`--var {name}`" for name in table.attrs[CUT]}
        return table
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


def _variable(row: str, known: Sequence[str]) -> str:
    """Of which a row is: its whole label, or what stands before the index."""
    return row if row in known else row.rpartition("[")[0]
