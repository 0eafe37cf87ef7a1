"""What a simulation bank is on disk: a zarr group that grows by rows, and has one writer at a time.

The group holds the arrays ``coordinates`` (row, coordinate), ``is_failed`` (row,) and ``observed/<site>`` (row, ...),
and ``masks/<site>`` where an observed site has a mask. Its attributes say what its rows are, and how many are complete.
Chunks of rows are written first and that number last, each file beside its place and then moved there in one step, as
zarr does. So a kill leaves at most rows beyond the number, which are written again.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from bayesastro._version import __version__
from bayesastro.banks.identity import differences, fingerprint_of
from bayesastro.problem import Problem

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two writers apart
    fcntl = None

__all__ = [
    "Header",
    "Rows",
    "Writer",
    "array_name",
    "create",
    "header_of",
    "is_free",
    "open_group",
    "reopen",
]

FORMAT = "bayesastro bank 1"

CHUNK_BYTES = 4 * 2**20
"""Of all arrays together. Some milliseconds to read, and few enough rows that a window of chunks is a fair shuffle."""

MAX_CHUNK_ROWS = 16384

Rows = dict[str, np.ndarray]
"""Rows of a bank by the names of its arrays: ``coordinates``, ``is_failed``, ``observed/<site>``."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """The attributes of a bank.

    Attributes
    ----------
    identity : mapping
        What its rows are, see :mod:`bayesastro.banks.identity`.
    fingerprint : str
        Of the program and its arguments; not of the seed.
    coordinates : list of [str, list of int]
        Latent sites and the shapes of their coordinates, in order.
    observed : mapping of str to str
        Names of the arrays by observed site.
    masks : mapping of str to str
        Names of the masks' arrays, by observed sites that have one.
    block : int
        Rows simulated together; 0 where they were given.
    chunk : int
        Rows stored together.
    num_rows : int
        Complete rows.
    """

    identity: Mapping[str, Any]
    fingerprint: str
    coordinates: list[Any]
    observed: Mapping[str, str]
    masks: Mapping[str, str]
    block: int
    chunk: int
    num_rows: int = 0


def array_name(site: str) -> str:
    """Where the values of an observed site are; a `/` in its name would make a group."""
    return f"observed/{site.replace('/', '.')}"


def is_free(path: Path) -> bool:
    """Whether nothing is at `path`, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def open_group(path: Path) -> zarr.Group:
    """The zarr group of the bank at `path`, for reading.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If something else is.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no bank at `{path}`. Make one with `simulate` or `Bank.from_arrays`.")
    try:
        group = zarr.open_group(path, mode="r")
    except (OSError, ValueError, KeyError, TypeError) as error:  # zarr's, for what is no group
        raise ValueError(f"`{path}` exists and is no simulation bank. Give another `path`.") from error
    if not str(group.attrs.get("format", "")).startswith("bayesastro bank"):
        raise ValueError(f"`{path}` exists and is no simulation bank. Give another `path`.")
    return group


def header_of(group: zarr.Group, path: Path | None) -> Header:
    """Read the attributes.

    Raises
    ------
    ValueError
        If the format is another version's, or chunks of complete rows are missing.
    """
    attributes: dict[str, Any] = group.attrs.asdict()
    if attributes.pop("format") != FORMAT:
        raise ValueError(
            f"The bank `{path}` has the format `{group.attrs['format']}`, but this version reads `{FORMAT}`. Simulate "
            "again to another `path`."
        )
    try:
        header = Header(**{name: value for name, value in attributes.items() if name != "versions"})
        arrays: list[Any] = [group[name] for name in ("coordinates", "is_failed", *header.observed.values())]
    except (TypeError, KeyError) as error:
        raise ValueError(f"The bank `{path}` is damaged: {error} is missing. {_REMEDY}") from error
    for array in arrays:
        # zarr takes a missing chunk for one that was never filled.
        numbers = range(-(-header.num_rows // header.chunk)) if path is not None else ()
        folder = Path(path or "") / array.path / "c"
        if missing := [n for n in numbers if not (folder / str(n)).exists()]:
            raise ValueError(
                f"The bank `{path}` is damaged: chunk {missing[0]} of `{array.path}` is missing. {_REMEDY}"
            )
    return header


_REMEDY = "Delete it, or give another `path`."


class Writer:
    """Writes rows to a bank, and advances the number of complete ones.

    Parameters
    ----------
    group : zarr.Group
    header : Header
    path : Path or None
        Where the bank is locked; None in memory.

    Raises
    ------
    ValueError
        If another process is writing to it.
    """

    def __init__(self, group: zarr.Group, header: Header, path: Path | None) -> None:
        self.group, self.header, self.path = group, header, path
        self.num_rows = header.num_rows
        self._beyond: dict[int, int] = {}
        self._lock = None if path is None or fcntl is None else os.open(path, os.O_RDONLY)
        try:
            if fcntl is not None and self._lock is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise ValueError(f"The bank `{path}` is being written to by another process. Wait for its end.") from error

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def extend(self, num: int) -> None:
        """Make room for `num` rows in all."""
        for name in ("coordinates", "is_failed", *self.header.observed.values()):
            array: Any = self.group[name]
            if array.shape[0] < num:
                array.resize((num, *array.shape[1:]))

    def write(self, start: int, rows: Rows) -> None:
        """Write rows from number `start` on; they count once all those before them are there."""
        stop = start + len(rows["is_failed"])
        for name, values in rows.items():
            array: Any = self.group[name]
            array[start:stop] = values
        self._beyond[start] = stop
        before = self.num_rows
        while self.num_rows in self._beyond:
            self.num_rows = self._beyond.pop(self.num_rows)
        if self.num_rows > before:
            self.group.update_attributes({"num_rows": self.num_rows})


def create(
    path: Path | None,
    problem: Problem,
    identity: Mapping[str, Any],
    dtypes: Mapping[str, Any],
    masks: Mapping[str, np.ndarray],
    *,
    num: int,
    block: int,
) -> Writer:
    """A new bank with room for `num` rows.

    Parameters
    ----------
    path : Path or None
        None for a bank in memory.
    problem : Problem
    identity : mapping
    dtypes : mapping
        Of each observed site.
    masks : mapping of str to array
        Of the observed sites that have one.
    num, block : int
    """
    chart, sites = problem.unconstrained, problem.views().structure.of_kind("observed")
    shapes = {"coordinates": (chart.size,), "is_failed": ()}
    kinds: dict[str, Any] = {"coordinates": np.dtype(float), "is_failed": np.dtype(bool)}
    names = {site.name: array_name(site.name) for site in sites}
    shapes |= {names[site.name]: site.shape for site in sites}
    kinds |= {names[site.name]: np.dtype(dtypes[site.name]) for site in sites}
    row_bytes = sum(kinds[name].itemsize * int(np.prod(shape)) for name, shape in shapes.items())
    multiple = max(block, 1)
    chunk = max(1, min(CHUNK_BYTES // row_bytes, MAX_CHUNK_ROWS) // multiple) * multiple
    header = Header(
        identity=identity,
        fingerprint=fingerprint_of(identity),
        coordinates=[[name, list(shape)] for name, shape in chart.shapes],
        observed=names,
        masks={name: names[name].replace("observed", "masks", 1) for name in masks},
        block=block,
        chunk=chunk,
    )
    beside = None if path is None else path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        if beside is not None:
            beside.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(MemoryStore() if beside is None else beside)
        for name, shape in shapes.items():
            _create_array(group, name, (num, *shape), (chunk, *shape), kinds[name])
        for name, mask in masks.items():
            group.create_array(header.masks[name], data=np.asarray(mask))
        group.update_attributes({"format": FORMAT, **asdict(header), "versions": _versions()})
        if path is not None and beside is not None:
            os.rename(beside, path)  # onto nothing, or an empty folder
            group = zarr.open_group(path, mode="r+")
    except BaseException:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
        raise
    return Writer(group, header, path)


def reopen(path: Path, identity: Mapping[str, Any], *, num: int, block: int | None) -> Writer:
    """A bank that exists, to be continued to `num` rows.

    Raises
    ------
    ValueError
        If it is no bank, or one of other rows.
    """
    open_group(path)
    group = zarr.open_group(path, mode="r+")
    header = header_of(group, path)
    what = differences(header.identity, identity)
    if not what and block not in (None, header.block):
        what = [f"another `chunk` ({header.block} there, {block} here)"]
    if what:
        raise ValueError(f"The bank `{path}` is of {' and '.join(what)}. Give another `path`, or delete it.")
    writer = Writer(group, header, path)
    try:
        # Another process may have written between the reading and the locking.
        writer.num_rows = header_of(zarr.open_group(path, mode="r"), path).num_rows
        writer.extend(num)
    except BaseException:
        writer.close()
        raise
    return writer


def _create_array(group: zarr.Group, name: str, shape: Any, chunks: Any, dtype: np.dtype) -> None:
    blosc = BloscCodec(cname="lz4", clevel=1, shuffle="shuffle", typesize=dtype.itemsize)
    group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        compressors=[blosc, Crc32cCodec()],
        fill_value=np.nan if dtype.kind == "f" else dtype.type(dtype.kind == "b"),
        config={"write_empty_chunks": True},
    )


def _versions() -> dict[str, str]:
    return {"bayesastro": __version__, **{name: version(name) for name in ("jax", "numpyro", "numpy", "zarr")}}
