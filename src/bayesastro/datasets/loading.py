"""Published data sets by name."""

import importlib
from typing import Any

import pandas as pd

from bayesastro.datasets.fetching import fetched, found
from bayesastro.datasets.registry import Dataset, dataset_named, registry

__all__ = ["available", "load"]


def available() -> pd.DataFrame:
    """The data sets that :func:`load` knows.

    Returns
    -------
    pandas.DataFrame
        Indexed by name, with ``what``, ``size`` [byte], ``present`` (whether its files are on this machine), ``licence``,
        ``citation`` and ``source``.

    Examples
    --------
    >>> from bayesastro.datasets import available
    >>> available().loc["jla", "citation"]
    'Betoule et al. 2014, A&A 568, A22 (arXiv:1401.4064)'
    """
    rows = {
        name: {
            "what": entry.what,
            "size": entry.size,
            "present": all(found(file) is not None for file in entry.files),
            "licence": entry.licence,
            "citation": entry.citation,
            "source": entry.source,
        }
        for name, entry in registry().items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def load(name: str, **settings: Any) -> Any:
    """A published data set: built in, from the folder ``BAYESASTRO_DATA``, or downloaded once and kept.

    Parameters
    ----------
    name : str
        One of :func:`available`.
    **settings
        Of its reader, as ``band`` of the Euclid lens or ``low`` and ``high`` of an X-ray spectrum.

    Returns
    -------
    object
        What its reader returns: a frozen dataclass of arrays, mostly.

    Raises
    ------
    ValueError
        If there is no such data set, or a file is not the one published.
    OSError
        If a file is missing and cannot be downloaded; the message says where it is to be put.
    TypeError
        If the reader has no such setting.

    Examples
    --------
    >>> from bayesastro.datasets import load
    >>> load("desi_dr2_bao").value.shape
    (13,)
    """
    entry = dataset_named(name)
    module, _, function = entry.reader.partition(":")
    reader = getattr(importlib.import_module(f"bayesastro.datasets.{module}"), function)
    positional, lists = _inputs(entry)
    needed = [] if entry.needs is None else [load(entry.needs)]
    return reader(*positional, *needed, **lists, **entry.arguments | settings)


def _inputs(entry: Dataset) -> tuple[list[Any], dict[str, list[Any]]]:
    """Paths, as the reader takes them: by position and by name."""
    paths = fetched(entry)
    if entry.takes == "lists":
        roles = dict.fromkeys(file.role for file in entry.files)
        return [], {
            role: [path for path, file in zip(paths, entry.files, strict=True) if file.role == role] for role in roles
        }
    choice = {"nothing": [], "file": paths[:1], "files": paths, "folder": [path.parent for path in paths[:1]]}
    return choice[entry.takes], {}
