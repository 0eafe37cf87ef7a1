"""Optional dependencies: what to install when one is missing."""

from importlib.util import find_spec
from types import TracebackType

__all__ = ["Extra", "missing"]

_EXTRAS = {"nifty8": "fields", "torch": "neural"}
"""The extra that brings a package."""


def missing(package: str) -> str:
    """What to install for a package of an extra, to follow the name of what needs it; empty if it is there, or none is named."""
    if not package or find_spec(package) is not None:
        return ""
    return f"needs `{package}`, which is not installed. Run `pip install 'bayesastro[{_EXTRAS[package]}]'`"


class Extra:
    """Where packages of an extra are imported; one that is missing is told with the command that installs it.

    Parameters
    ----------
    name : str
        Of the extra in ``pyproject.toml``, such as ``lightcurves``.
    purpose : str
        What needs it, as the sentence's subject in the plural: "Orbits", "Neural networks".

    Raises
    ------
    ImportError
        On leaving, if a module is missing.

    Examples
    --------
    >>> with Extra("fields", "Fields on the sphere"):
    ...     import module_that_nobody_wrote
    Traceback (most recent call last):
    ImportError: Fields on the sphere need `module_that_nobody_wrote`, which is not installed: `pip install 'bayesastro[fields]'`.
    """

    def __init__(self, name: str, purpose: str) -> None:
        self.name, self.purpose = name, purpose

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, ImportError):
            missing = f"`{error.name}`, which is not installed" if error.name else f"what cannot be imported ({error})"
            raise ImportError(
                f"{self.purpose} need {missing}: `pip install 'bayesastro[{self.name}]'`.", name=error.name
            ) from error
