"""Every notebook runs from beginning to end."""

import os

import nbclient
import nbformat
import pytest
from conftest import REPOSITORY, data_folder

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    if "BAYESASTRO_DATA" in path.read_text() and not data_folder().is_dir() and not os.environ.get("CI"):
        pytest.skip(f"`{path.name}` needs the data folder. Set `BAYESASTRO_DATA` to it.")
    monkeypatch.setenv("BAYESASTRO_DATA", str(data_folder()))
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_with_its_pictures_and_without_errors(path):
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
