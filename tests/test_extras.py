"""Packages that are not installed are named, with the command that installs them."""

import importlib
import sys

import pytest

from bayesastro.cli import main
from bayesastro.extras import Extra

NEEDED = {
    "bayesastro.simulators.lightcurves.kernels": ("tinygp", "lightcurves"),
    "bayesastro.simulators.lightcurves.gaussian_process": ("tinygp", "lightcurves"),
    "bayesastro.simulators.lightcurves.transits": ("jaxoplanet", "lightcurves"),
    "bayesastro.simulators.lightcurves.orbits": ("jaxoplanet", "lightcurves"),
    "bayesastro.inference.fisher_likelihood": ("nifty8", "fields"),
    "bayesastro.inference.neural": ("torch", "neural"),
}


def hide(monkeypatch: pytest.MonkeyPatch, package: str, *users: str) -> None:
    """As if a package were not installed, for modules that are imported anew."""
    for name in [n for n in sys.modules if n.split(".")[0] == package or n in users]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", NEEDED)
def test_a_module_names_the_extra_that_it_needs(module, monkeypatch):
    package, extra = NEEDED[module]
    hide(monkeypatch, package, module)
    with pytest.raises(
        ImportError, match=rf"need `{package}.*`, which is not installed: `pip install 'bayesastro\[{extra}\]'`"
    ):
        importlib.import_module(module)


def test_the_sphere_needs_an_extra(monkeypatch):
    from bayesastro.simulators.fields.sphere import healpix_grid

    hide(monkeypatch, "jaxbind")
    with pytest.raises(ImportError, match=r"Fields on the sphere need `jaxbind.*pip install 'bayesastro\[fields\]'"):
        healpix_grid(2, max_degree=3)


def test_the_command_line_says_so_in_one_line(monkeypatch, capsys, tmp_path):
    package = "tinygp"
    users = [
        n for n in sys.modules if n.startswith(("bayesastro.simulators.lightcurves", "bayesastro.models.lightcurves"))
    ]
    hide(monkeypatch, package, *users)
    monkeypatch.setattr(sys, "argv", ["bayesastro", "fit", "lightcurves.transit", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    told = capsys.readouterr().err
    assert "pip install 'bayesastro[lightcurves]'" in told
    assert len(told.splitlines()) == 1


def test_other_errors_pass_through():
    with pytest.raises(ZeroDivisionError), Extra("fields", "Fields"):
        _ = 1 / 0
    with (
        pytest.raises(ImportError, match=r"Fields need what cannot be imported \(its library is broken\)"),
        Extra("fields", "Fields"),
    ):
        raise ImportError("its library is broken")
