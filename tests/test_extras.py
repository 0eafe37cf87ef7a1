"""Packages that are not installed are named, with the command that installs them."""

import importlib
import inspect
import pydoc
import sys

import pytest

import bayesastro as ba
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


@pytest.fixture
def without_torch(monkeypatch):
    """As if the extra of neural networks were not installed."""
    users = [name for name in sys.modules if name.startswith("bayesastro.inference.neural")]
    hide(monkeypatch, "torch", *users)
    monkeypatch.delattr(importlib.import_module("bayesastro.inference"), "neural", raising=False)
    for name in NEURAL:
        monkeypatch.delitem(vars(ba), name, raising=False)


NEURAL = ("Amortised", "Classifier", "Corrected", "NLE", "NPE", "NRE", "Surrogate", "TMNRE", "information")


def test_the_package_can_be_looked_through_without_an_extra(without_torch):
    assert not any(hasattr(ba, name) for name in NEURAL)
    found = dict(inspect.getmembers(ba))
    assert not found.keys() & set(NEURAL)
    assert found["NUTS"] is ba.NUTS
    assert "class NUTS" in pydoc.plain(pydoc.render_doc(ba))
    assert set(dir(ba)) == set(ba.__all__)


@pytest.mark.parametrize("name", NEURAL)
def test_a_name_that_needs_an_extra_says_what_to_install(without_torch, name):
    told = r"Neural networks need `torch`, which is not installed: `pip install 'bayesastro\[neural\]'`\.$"
    with pytest.raises(AttributeError, match=told) as caught:
        getattr(ba, name)
    assert isinstance(caught.value.__cause__, ImportError)
    with pytest.raises(ImportError, match=told):
        exec(f"from bayesastro import {name}")


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


def test_training_on_the_command_line_says_so_in_one_line(without_torch, command):
    assert command("--no-cache", "train", "cosmology.bao") == (
        1,
        "",
        "bayesastro: Neural networks need `torch`, which is not installed: `pip install 'bayesastro[neural]'`.\n",
    )


def test_other_errors_pass_through():
    with pytest.raises(ZeroDivisionError), Extra("fields", "Fields"):
        _ = 1 / 0
    with (
        pytest.raises(ImportError, match=r"Fields need what cannot be imported \(its library is broken\)"),
        Extra("fields", "Fields"),
    ):
        raise ImportError("its library is broken")
