"""The documentation: its code runs, page by page, and it builds without a warning."""

import re
import shutil
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest
from conftest import REPOSITORY

DOCS = REPOSITORY / "docs"

PAGES = sorted(path for path in DOCS.glob("*.md") if "```python" in path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")
def test_code_of_a_page_runs(path, tmp_path, monkeypatch):
    """In the order of the page; blocks that need what is not here are marked as no Python to run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("Agg")
    names = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL):
        exec(compile(block, path.name, "exec"), names)
    plt.close("all")


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
