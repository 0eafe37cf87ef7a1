"""Takes NumPyro's hook for quantities as soon as NumPyro is imported, so that priors made before the first use of the package keep
their units. It imports nothing itself, which keeps ``import bayesastro`` quick.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["install"]

DISTRIBUTIONS = "numpyro.distributions"
HOOK = "bayesastro.prior_units"


class _AfterDistributions(MetaPathFinder):
    """Finds nothing itself; has NumPyro's distributions loaded as ever, and the hook after them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != DISTRIBUTIONS:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None:
            _then_import(HOOK, spec.loader)
        return spec


def _then_import(name: str, loader: Any) -> None:
    """Have a loader import a module after its own."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module
        execute(module)
        import_module(name)

    loader.exec_module = exec_module


def install() -> None:
    """Take the hook now if NumPyro is imported, else when it is."""
    if DISTRIBUTIONS in sys.modules:
        import_module(HOOK)
    elif not any(isinstance(finder, _AfterDistributions) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterDistributions())
