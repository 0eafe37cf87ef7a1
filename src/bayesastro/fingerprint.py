"""Fingerprints of data."""

import hashlib
from collections.abc import Mapping

import jax
import numpy as np

from bayesastro.program import Data

__all__ = ["array_fingerprint", "data_fingerprint"]


def data_fingerprint(data: Data | Mapping[str, np.ndarray]) -> str:
    """SHA-256 of every array of a data set, or of arrays by name: names, shapes, dtypes and values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        _add(digest, jax.tree_util.keystr(path), leaf)
    return digest.hexdigest()


def array_fingerprint(array: np.ndarray) -> str:
    """SHA-256 of one array: shape, dtype and values."""
    digest = hashlib.sha256()
    _add(digest, "", array)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", name: str, leaf: np.ndarray) -> None:
    array = np.ascontiguousarray(leaf)
    digest.update(f"{name} {array.dtype} {array.shape}".encode())
    digest.update(array.tobytes())
