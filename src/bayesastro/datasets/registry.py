"""What is known of each published data set: its files, where they are public, and who is to be cited.

The figures stand in ``registry.toml`` beside this file.
"""

import difflib
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["Dataset", "PublishedFile", "dataset_named", "registry"]


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file of a data set.

    Parameters
    ----------
    folder, name : str
        Where it lies below a folder of data; of a FITS file ``{name}.gz`` does as well.
    sha256 : str
        Of its contents.
    size : int [byte]
    url : str, optional
        A public address with the same bytes; None if there is none.
    role : str
        The argument of the reader that it is for, if that is not given by the order.
    source : str
        Where the original is to be had.
    """

    folder: str
    name: str
    sha256: str
    size: int
    url: str | None = None
    role: str = ""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set.

    Parameters
    ----------
    name, what, citation, licence : str
    reader : str
        ``module:function`` below ``bayesastro.datasets``.
    takes : {"nothing", "file", "files", "folder", "lists"}
        What the reader is called with: the path of the first file, of all, of their folder, or lists of paths by role.
    source : str
        Where the originals are, and what was done to them.
    files : tuple of PublishedFile
        None if the data are built in.
    needs : str, optional
        A data set whose contents the reader takes as its second argument.
    arguments : dict
        Settings of the reader.
    """

    name: str
    what: str
    citation: str
    licence: str
    reader: str
    takes: str
    source: str
    files: tuple[PublishedFile, ...] = ()
    needs: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Of its files together [byte]."""
        return sum(file.size for file in self.files)


@cache
def registry() -> dict[str, Dataset]:
    """All data sets by name."""
    entries = tomllib.loads((files("bayesastro.datasets") / "registry.toml").read_text(encoding="utf-8"))
    return {name: _dataset(name, **entry) for name, entry in entries.items()}


def _dataset(name: str, *, folder: str = "", source: str, files: Any = (), **entry: Any) -> Dataset:
    published = tuple(PublishedFile(folder=folder, source=source, **file) for file in files)
    return Dataset(name=name, source=source, files=published, **entry)


def dataset_named(name: str) -> Dataset:
    """The data set of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = registry()
    if name not in known:
        near = difflib.get_close_matches(str(name).lower().replace("-", "_").replace(" ", "_"), known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(f'`{n}`' for n in near)}?" if near else f"There are {', '.join(known)}."
        raise ValueError(f"There is no data set {name!r}. {hint}")
    return known[name]
