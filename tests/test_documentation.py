"""The documentation: its code runs, page by page, and it builds without a warning."""

import importlib
import os
import re
import shutil
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import REPOSITORY, data_folder
from PIL import Image

import bayesastro
from bayesastro import plots
from bayesastro.models.catalogue import CATALOGUE

DOCS = REPOSITORY / "docs"

PAGES = sorted(path for path in DOCS.glob("*.md") if "```python" in path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")
def test_code_of_a_page_runs(path, tmp_path, monkeypatch):
    """In the order of the page; blocks that need what is not here are marked as no Python to run."""
    if "BAYESASTRO_DATA" in path.read_text() and not data_folder().is_dir() and not os.environ.get("CI"):
        pytest.skip(f"`{path.name}` needs the data folder. Set `BAYESASTRO_DATA` to it.")
    monkeypatch.setenv("BAYESASTRO_DATA", str(data_folder()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("Agg")
    names = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL):
        exec(compile(block, path.name, "exec"), names)
    plt.close("all")
    drawn = {picture.name for picture in tmp_path.glob("predictive_*.png")}
    assert drawn == set(re.findall(r"images/(predictive_\w+\.png)", path.read_text()))
    for name in drawn:
        np.testing.assert_allclose(thumbnail(tmp_path / name), thumbnail(DOCS / "images" / name), atol=25, err_msg=name)


def thumbnail(path):
    """A picture in 8 × 8 grey levels, of 255: what a stored one must share with one drawn anew."""
    return np.asarray(Image.open(path).convert("L").resize((8, 8), Image.Resampling.BOX), float)


def listed():
    """Names in the lists of the reference, with their modules."""
    found = []
    for block in re.findall(r"```{eval-rst}\n(.*?)```", (DOCS / "api.md").read_text(), flags=re.DOTALL):
        module = re.search(r"currentmodule:: (\S+)", block)[1]
        found += [f"{module}.{name}" for name in re.findall(r"^   (\w[\w.]*)$", block, flags=re.MULTILINE)]
    return found


def test_reference_lists_every_public_name():
    names = listed()
    assert len(names) == len(set(names))
    top = {name.removeprefix("bayesastro.") for name in names if name.count(".") == 1}
    packages = {"datasets", "emulators", "thinning"}
    assert top - packages == set(bayesastro.__all__) - {"__version__", "plot"}
    assert packages <= top
    pictures = {name.removeprefix("bayesastro.plots.") for name in names if name.startswith("bayesastro.plots.")}
    assert pictures == set(plots.__all__) - {"COLORS"}
    programs = {name.removeprefix("bayesastro.models.") for name in names if name.startswith("bayesastro.models.")}
    assert programs == {entry.name for entry in CATALOGUE} | {"fields.correlated_field"}


def test_reference_lists_every_simulator():
    """Packages that gather the names of their modules, and the modules of those that do not."""
    folder = REPOSITORY / "src" / "bayesastro" / "simulators"
    expected = set()
    for package in (path.parent.name for path in folder.glob("*/__init__.py")):
        name = f"bayesastro.simulators.{package}"
        gathers = importlib.import_module(name).__all__
        modules = [f"{name}.{path.stem}" for path in (folder / package).glob("*.py") if path.stem != "__init__"]
        expected |= {name} if gathers else set(modules)
    assert {name for name in listed() if name.startswith("bayesastro.simulators.")} == expected


def test_pages_are_all_in_the_contents():
    contents = (DOCS / "index.md").read_text()
    for path in DOCS.glob("*.md"):
        assert path.stem == "index" or re.search(rf"^{path.stem}$", contents, flags=re.MULTILINE), path


def test_documentation_builds_without_warnings(tmp_path):
    source = tmp_path / "repository"
    for name in ("docs", "notebooks"):
        shutil.copytree(
            REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("gallery", "reference", "_build")
        )
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        source / "docs",
        tmp_path / "site",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "site" / "index.html").read_text()
    assert "ten_minutes.html" in index
    assert "gallery/dark_energy.html" in index
    assert "ensemble" in (tmp_path / "site" / "reference" / "bayesastro.NPE.html").read_text()
