"""Fingerprints of data."""

import hashlib

import jax
import numpy as np

from bayesastro.program import Data

__all__ = ["data_fingerprint"]


def data_fingerprint(data: Data) -> str:
    """SHA-256 of every array of a data set: names of observed sites, shapes, dtypes and values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
