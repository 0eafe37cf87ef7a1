"""Files of published data: found in a folder of one's own or the cache, or downloaded, and never used unverified.

The folder that the environment variable ``BAYESASTRO_DATA`` names comes first, then ``bayesastro/data`` in the user's cache
folder, to which downloads go.
"""

import gzip
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from bayesastro.datasets.registry import Dataset, PublishedFile

__all__ = ["VARIABLE", "cache_folder", "fetched", "found"]

VARIABLE = "BAYESASTRO_DATA"

GITHUB_BLOBS = "https://api.github.com/"
"""Gives the bytes of a blob only if it is asked for them, and JSON otherwise."""

FITS_SUFFIXES = (".fits", ".pi", ".arf", ".rmf")
"""Files that readers take compressed, too."""


def cache_folder() -> Path:
    """Where downloads are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("bayesastro") / "data"


def found(file: PublishedFile) -> Path | None:
    """Where a file lies, in one's own folder or the cache; its contents are not looked at."""
    own = os.environ.get(VARIABLE)
    for folder in ([Path(own)] if own else []) + [cache_folder()]:
        plain = folder / file.folder / file.name
        packed = [plain.with_name(f"{plain.name}.gz")] if plain.suffix in FITS_SUFFIXES else []
        for path in (plain, *packed):
            if path.is_file():
                return path
    return None


def fetched(dataset: Dataset) -> list[Path]:
    """Paths of the files of a data set, in one folder; those that are nowhere are downloaded.

    Raises
    ------
    OSError
        If a file is missing and cannot be downloaded.
    ValueError
        If a file is not the one published.
    """
    paths = [_fetched(file) for file in dataset.files]
    if len({path.parent for path in paths}) > 1:
        # Some are in one's own folder and some in the cache; readers look for them beside each other.
        paths = [_beside_downloads(path, file) for path, file in zip(paths, dataset.files, strict=True)]
    return paths


def _fetched(file: PublishedFile) -> Path:
    path = found(file)
    if path is None or (path.is_relative_to(cache_folder()) and _sha256(path, file) != file.sha256):
        return _downloaded(file)
    if (sha256 := _sha256(path, file)) != file.sha256:
        again = f"get it anew from {file.url}" if file.url else f"get the one made from the original ({file.source})"
        raise ValueError(
            f"`{path}` is not the file published: its SHA-256 is {sha256[:12]}…, but must be {file.sha256[:12]}…. Remove "
            f"it or {again}; to read a version of your own, pass its path to the reader."
        )
    return path


def _sha256(path: Path, file: PublishedFile) -> str:
    """Of the contents, unpacked where the file lies compressed and was published plain."""
    is_packed = path.name != file.name
    try:
        with gzip.open(path) if is_packed else path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"`{path}` is no whole gzip file: {error}. Get it anew.") from error


def _downloaded(file: PublishedFile) -> Path:
    """Into the cache, under its name only once it is whole and verified."""
    place = f"{file.folder}/{file.name}"
    if file.url is None:
        raise FileNotFoundError(
            f"`{place}` is not in the folder of data, and no public address has the same bytes: it is made from "
            f"{file.source}. Set {VARIABLE} to a folder that holds it as `{place}`, or read the original by yourself."
        )
    import pooch

    headers = {"Accept": "application/vnd.github.raw+json"} if file.url.startswith(GITHUB_BLOBS) else {}
    downloader: Any = pooch.HTTPDownloader(headers=headers)
    try:
        path = pooch.retrieve(
            file.url,
            f"sha256:{file.sha256}",
            file.name,
            cache_folder() / file.folder,
            downloader=downloader,
        )
    except OSError as error:
        raise OSError(
            f"`{place}` could not be downloaded from {file.url} ({type(error).__name__}). Download it elsewhere, put it "
            f"into a folder as `{place}`, and set {VARIABLE} to that folder."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"What {file.url} gives is not the file `{place}` that was published, whose SHA-256 is {file.sha256[:12]}…. "
            f"Get that file from {file.source}, and put it as `{place}` into a folder that {VARIABLE} names."
        ) from error
    return Path(path)


def _beside_downloads(path: Path, file: PublishedFile) -> Path:
    """A copy in the cache, unless it is there."""
    copy = cache_folder() / file.folder / path.name
    if path != copy:
        shutil.copyfile(path, copy)
    return copy
