"""The README's example runs as it stands."""

import re

import pytest
from conftest import REPOSITORY

import bayesastro as ba
from bayesastro.models.catalogue import CATALOGUE

README = (REPOSITORY / "README.md").read_text()


def test_example_runs_and_fits(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(code.strip().splitlines()) <= 16
    names = {}
    exec(code, names)
    assert "No problems found." in capsys.readouterr().out
    H0 = names["result"]["posterior"]["H0"]
    assert 50.0 < float(H0.mean()) < 80.0
    assert ba.diagnose(names["result"]).ids == ()


def test_all_programs_are_in_the_table():
    for entry in CATALOGUE:
        assert f"`{entry.name}`" in README, entry.name


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_links_lead_to_files(path):
    assert (REPOSITORY / path).is_file()
