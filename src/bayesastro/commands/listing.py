"""What ``bayesastro models`` does: the table of all programs."""

import importlib
import inspect
import re
from collections.abc import Callable

from bayesastro.commands.reporting import as_text
from bayesastro.models.catalogue import CATALOGUE, Entry

__all__ = ["described", "run"]


def described(entry: Entry) -> dict[str, str]:
    """A program: what it is, the data it has met, those of its example, engines to try, and the papers it follows."""
    text = inspect.getdoc(importlib.import_module(f"bayesastro.models.{entry.name}")) or ""
    _, _, references = text.partition("References\n----------\n")
    return {
        "name": entry.name,
        "what": _paragraph(text),
        "data": entry.data,
        "example": entry.told(),
        "engines": ", ".join(entry.engines),
        "source": _paragraph(references),
    }


def _paragraph(text: str) -> str:
    """The first one, without the markup of documentation: roles and double backquotes."""
    return re.sub(r"(?::\w+:)?`+~?([^`]*)`+", lambda match: match[1], " ".join(text.split("\n\n")[0].split()))


def run(*, json: bool = False, echo: Callable[[str], None] = print) -> None:
    """Print the table."""
    found = [described(entry) for entry in CATALOGUE]
    if json:
        echo(as_text({"models": found}))
        return
    for row in found:
        told = (f"    {name:<9}{row[name]}" for name in ("data", "example", "engines", "source") if row[name])
        echo("\n".join([f"{row['name']}: {row['what']}", *told]))
