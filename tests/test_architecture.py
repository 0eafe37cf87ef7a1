"""The shape of the package: which way imports point, what loads when, and that nothing is missing from the matrix."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import matrix
import pytest

import bayesastro
from bayesastro.inference import engines

ROOT = Path(bayesastro.__file__).parent
MODULES = sorted(path.relative_to(ROOT.parent).with_suffix("") for path in ROOT.rglob("*.py"))
NAMES = [".".join(m.parts[:-1] if m.name == "__init__" else m.parts) for m in MODULES]

MAY_IMPORT = {
    "bayesastro.simulators": {"bayesastro.simulators", "bayesastro.extras"},
    "bayesastro.datasets": {"bayesastro.datasets", "bayesastro.units"},
    "bayesastro.models": {
        "bayesastro.models",
        "bayesastro.simulators",
        "bayesastro.datasets",
        "bayesastro.problem",
        "bayesastro.batch",
        "bayesastro.extras",
        "bayesastro.units",
    },
    "bayesastro.inference": {
        "bayesastro.inference",
        "bayesastro.batch",
        "bayesastro.families",
        "bayesastro.precision",
        "bayesastro.problem",
        "bayesastro.charts",
        "bayesastro.extras",
        "bayesastro.hints",
        "bayesastro.program",
        "bayesastro.refusals",
        "bayesastro.seeds",
        "bayesastro.settings",
    },
    "bayesastro.inference.neural": {
        "bayesastro.inference",
        "bayesastro.banks",
        "bayesastro.problem",
        "bayesastro.charts",
        "bayesastro.extras",
        "bayesastro.hints",
        "bayesastro.program",
        "bayesastro.structure",
        "bayesastro.precision",
        "bayesastro.fingerprint",
        "bayesastro.progress",
        "bayesastro.seeds",
        "bayesastro.settings",
        "bayesastro._version",
    },
}
"""Packages, and what they may import of the package; of nested ones the innermost counts."""

FOUNDATION = (
    "angles",
    "problem",
    "views",
    "jaxprs",
    "names",
    "charts",
    "structure",
    "side_by_side",
    "program",
    "refusals",
    "transport",
    "families",
    "fisher",
    "quantiles",
    "precision",
    "batch",
    "containers",
    "domains",
    "mistakes",
    "seeds",
    "units",
    "prior_units",
    "extras",
    "hints",
    "tables",
)
"""Modules below the engines: they import nothing above themselves."""

UPWARDS = {("bayesastro.problem", "bayesastro.inference")}
"""The one arrow that points up, within `Problem.check`, which must name the engines."""


def imports_of(name: str) -> set[str]:
    path = ROOT.parent / Path(*name.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "bayesastro":
            found |= {f"bayesastro.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {found_name for found_name in found if found_name.split(".")[0] == "bayesastro"}


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_one_way(name):
    homes = [package for package in MAY_IMPORT if name == package or name.startswith(package + ".")]
    if homes:
        allowed = MAY_IMPORT[max(homes, key=len)]
        wrong = {i for i in imports_of(name) if not any(i == a or i.startswith(a + ".") for a in allowed)}
        assert not wrong, f"{name} imports {wrong}"
    if name in {f"bayesastro.{module}" for module in FOUNDATION}:
        below = {f"bayesastro.{module}" for module in FOUNDATION}
        assert {(name, i) for i in imports_of(name) - below} <= UPWARDS


def test_banks_know_no_engine():
    for name in NAMES:
        if name.startswith("bayesastro.banks"):
            assert not any(found.startswith("bayesastro.inference") for found in imports_of(name)), name


def test_simulators_never_import_numpyro():
    for path in (ROOT / "simulators").rglob("*.py"):
        assert "numpyro" not in path.read_text(), path


@pytest.mark.parametrize("name", [n for n in NAMES if n != "bayesastro._version"])
def test_every_module_says_what_it_is_and_what_it_offers(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    assert all(hasattr(module, public) for public in module.__all__), name


def test_public_names_are_few_and_all_there():
    assert len(bayesastro.__all__) <= 40
    for name in bayesastro.__all__:
        assert getattr(bayesastro, name) is not None


def test_no_submodule_can_shadow_a_public_name():
    """After `import bayesastro.x`, `bayesastro.x` is the module; a function of that name would be lost."""
    submodules = {path.stem for path in ROOT.iterdir()}
    assert not submodules & set(bayesastro.__all__)


def test_import_is_light():
    code = "import sys, json, bayesastro; print(json.dumps(sorted(sys.modules)))"
    loaded = set(
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
    )
    assert not loaded & {"jax", "numpyro", "torch", "sbi", "nifty8", "matplotlib", "arviz_stats", "xarray", "astropy"}


def test_every_engine_is_in_the_matrix():
    assert {type(row.engine) for row in matrix.ENGINES.values()} == set(engines())


def test_every_build_is_in_the_matrix():
    builds = {n.removeprefix("bayesastro.models.") for n in NAMES if hasattr(importlib.import_module(n), "build")}
    assert builds == {name.split(" ")[0] for name in matrix.MODELS}


def test_every_engine_cites_papers_and_declares_what_it_is():
    exactness = {"exact", "biased", "variational", "amortised", "amortised+is"}
    for engine in [row.engine for row in matrix.ENGINES.values()]:
        assert engine.references
        assert engine.exactness in exactness
        assert engine.needs


def test_files_and_functions_stay_small():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 80, f"{path}: {node.name}"


def test_nothing_is_pickled():
    for path in ROOT.rglob("*.py"):
        assert not {"pickle", "dill", "cloudpickle"} & {n.split(".")[0] for n in _all_imports(path)}


def _all_imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    direct = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return direct | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
