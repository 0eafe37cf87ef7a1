"""Shared by all tests."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from bayesastro import cli
from bayesastro.datasets import load
from bayesastro.datasets.fetching import found
from bayesastro.datasets.registry import registry

REPOSITORY = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """The folder of published data: ``BAYESASTRO_DATA``, or ``../shared/data`` next to the repository."""
    return Path(os.environ.get("BAYESASTRO_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """Compiled programs are dropped after each file: a process may hold only so many mappings of memory."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def published_file() -> Callable[[str], Path]:
    """Path of a file below the data folder; its absence fails a test in CI and skips it elsewhere.

    The folder is ``BAYESASTRO_DATA``, or ``../shared/data`` next to the repository.
    """

    def find(name: str) -> Path:
        path = data_folder() / name
        if not path.is_file():
            _missing(name)
        return path

    return find


@pytest.fixture(scope="session")
def published_data() -> Iterator[Callable[[str], Any]]:
    """A data set by its name, from the data folder; its absence fails a test in CI and skips it elsewhere."""

    def find(name: str) -> Any:
        entry = registry()[name]
        needed = entry.files + (registry()[entry.needs].files if entry.needs else ())
        for file in needed:
            if found(file) is None:
                _missing(f"{file.folder}/{file.name}")
        return load(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAYESASTRO_DATA", str(data_folder()))
        yield find


def _missing(name: str) -> NoReturn:
    message = f"`{name}` is not in the data folder. Set `BAYESASTRO_DATA` to the folder that holds it."
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Run the command in this process, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bayesastro", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def command_in_module(command, monkeypatch, tmp_path):
    """The same without compiled programs kept, in a folder with a module of its own; called with its name and text."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        return lambda *arguments: command("--no-cache", *arguments)

    return write


@pytest.fixture
def agg():
    """Figures without a screen; settings and figures of a test go with it."""
    with mpl.rc_context():
        plt.switch_backend("Agg")
        yield
    plt.close("all")
