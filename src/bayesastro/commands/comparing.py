"""What ``bayesastro compare`` does: which of several models of the same data they favour, and by how much."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bayesastro.commands.reading import results_of
from bayesastro.commands.reporting import as_text, rows
from bayesastro.commands.wording import in_options
from bayesastro.comparison import compare
from bayesastro.findings import Finding

__all__ = ["run"]


def run(paths: Sequence[Path], *, json: bool = False, echo: Callable[[str], None] = print) -> None:
    """Print the table of the models, the best first, and what is wrong with a result.

    Raises
    ------
    ValueError
        If a result cannot be read, there are fewer than two, two have the same name, they are of other data, or they have
        nothing to be compared by.
    """
    results = results_of(paths)
    for name, result in results.items():
        if "posterior" not in result.children:
            raise ValueError(f"`{name}` is no result of a fit. Give results that `bayesastro fit` wrote.")
    options: dict[str, Any] = {"log_likelihood=True": "--log-likelihood"}
    with in_options(**options):
        table = compare(results)
    found = table.attrs["findings"]
    if json:
        echo(as_text({"best": table.index[0], "models": rows(table), "bad_k": table.attrs["bad_k"], "findings": found}))
        return
    told = [f"{name}: {Finding(**finding)}" for name, findings in found.items() for finding in findings]
    echo("\n".join([str(table), *([""] if told else []), *told]))
