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
    with in_options(var_names="--var"):
        table = summary(result, names)
    table.attrs[CUT] = {name: f"`--var {name}`" for name in table.attrs[CUT]}
    return table


def check_names(names: Sequence[str], known: Iterable[str]) -> None:
    """Raise unless a posterior of these variables will have the named.

    Raises
    ------
    ValueError
    """
    variables = list(known)
    for name in names:
        check_variable(name if name in variables else name.partition("[")[0], variables, "`--var` names")
