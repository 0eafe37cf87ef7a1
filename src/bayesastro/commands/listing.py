"""What ``bayesastro models`` does: the table of all programs."""

import importlib
import inspect
import re
from collections.abc import Callable

import pandas as pd

from bayesastro.commands.reporting import as_text
from bayesastro.models.catalogue import CATALOGUE

__all__ = ["run", "table"]

COLUMNS = ("name", "what", "data", "engines", "source")


def table() -> pd.DataFrame:
    """By program: what it is, the data it has met, engines to try, and the papers it follows."""
    described = []
    for entry in CATALOGUE:
        text = inspect.getdoc(importlib.import_module(f"bayesastro.models.{entry.name}")) or ""
        what = _plain(" ".join(text.split("\n\n")[0].split()))
        described.append((entry.name, what, entry.data, ", ".join(entry.engines), _source(text)))
    return pd.DataFrame(described, columns=list(COLUMNS)).set_index("name")


def _source(text: str) -> str:
    """What stands below the heading of references."""
    _, _, references = text.partition("References\n----------\n")
    return _plain(" ".join(references.split("\n\n")[0].split()))


def _plain(text: str) -> str:
    """Without the markup of documentation: roles and double backquotes."""
    return re.sub(r"(?::\w+:)?`+~?([^`]*)`+", lambda match: match[1], text)


def run(*, json: bool = False, echo: Callable[[str], None] = print) -> None:
    """Print the table."""
    found = table()
    if json:
        echo(as_text({"models": [{"name": name, **row} for name, row in found.to_dict("index").items()]}))
        return
    for name, row in found.to_dict("index").items():
        lines = [f"{name}: {row['what']}", f"    data     {row['data']}", f"    engines  {row['engines']}"]
        echo("\n".join([*lines, f"    source   {row['source']}"] if row["source"] else lines))
