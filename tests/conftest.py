"""Shared by all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def published_file() -> Callable[[str], Path]:
    """Path of a file below the data folder; its absence fails a test in CI and skips it elsewhere.

    The folder is ``BAYESASTRO_DATA``, or ``../shared/data`` next to the repository.
    """

    def find(name: str) -> Path:
        folder = Path(os.environ.get("BAYESASTRO_DATA", REPOSITORY.parent / "shared" / "data"))
        path = folder / name
        if not path.is_file():
            message = f"`{name}` is not in the data folder. Set `BAYESASTRO_DATA` to the folder that holds it."
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find
