"""Where the benchmarks find published data."""

import os
from pathlib import Path

import bayesastro

__all__ = ["data_folder"]


def data_folder() -> Path:
    """The folder that the environment variable BAYESASTRO_DATA names, or the one beside the repository."""
    beside = Path(bayesastro.__file__).parents[3] / "shared" / "data"
    return Path(os.environ.get("BAYESASTRO_DATA", beside))
