"""Bayesian inference for astronomy: one NumPyro program, every inference engine, calibrated posteriors.

Five words: a *program* is a NumPyro function that generates the data; a :class:`Problem` attaches the data observed;
an *engine* (:class:`NUTS`, …) is an inference algorithm with its settings; :func:`fit` runs it; the result is an
``xarray.DataTree`` in ArviZ's schema which :func:`diagnose` judges.

The public names are loaded when first used, so that ``import bayesastro`` stays quick.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayesastro import import_hook
from bayesastro._version import __version__

if TYPE_CHECKING:
    from bayesastro import plots as plot
    from bayesastro.agreement import crosscheck
    from bayesastro.banks.bank import Bank
    from bayesastro.banks.simulation import simulate
    from bayesastro.bounds import cramer_rao
    from bayesastro.calibration.calibrate import calibrate
    from bayesastro.calibration.lc2st import check_local
    from bayesastro.calibration.reliability import reliability
    from bayesastro.callbacks import external
    from bayesastro.comparison import compare
    from bayesastro.compilation import enable_compilation_cache
    from bayesastro.diagnostics import diagnose
    from bayesastro.drive import fit
    from bayesastro.fisher import register_fisher
    from bayesastro.inference.ensemble import Ensemble
    from bayesastro.inference.geovi import GeoVI
    from bayesastro.inference.mclmc import MCLMC
    from bayesastro.inference.nested import NestedSampler
    from bayesastro.inference.neural.amortised import Amortised
    from bayesastro.inference.neural.classifier import Classifier
    from bayesastro.inference.neural.corrected import Corrected
    from bayesastro.inference.neural.information import information
    from bayesastro.inference.neural.nle import NLE
    from bayesastro.inference.neural.npe import NPE
    from bayesastro.inference.neural.nre import NRE
    from bayesastro.inference.neural.surrogate import Surrogate
    from bayesastro.inference.neural.tmnre import TMNRE
    from bayesastro.inference.nuts import NUTS
    from bayesastro.inference.pathfinder import Pathfinder
    from bayesastro.inference.smc import SMC
    from bayesastro.many import fit_many
    from bayesastro.posterior_priors import informed
    from bayesastro.predictive import predict
    from bayesastro.predictive_checks import check_fit
    from bayesastro.problem import Problem
    from bayesastro.result import load, save, summary
    from bayesastro.stages import start_from

__all__ = [
    "MCLMC",
    "NLE",
    "NPE",
    "NRE",
    "NUTS",
    "SMC",
    "TMNRE",
    "Amortised",
    "Bank",
    "Classifier",
    "Corrected",
    "Ensemble",
    "GeoVI",
    "NestedSampler",
    "Pathfinder",
    "Problem",
    "Surrogate",
    "__version__",
    "calibrate",
    "check_fit",
    "check_local",
    "compare",
    "cramer_rao",
    "crosscheck",
    "diagnose",
    "enable_compilation_cache",
    "external",
    "fit",
    "fit_many",
    "information",
    "informed",
    "load",
    "plot",
    "predict",
    "register_fisher",
    "reliability",
    "save",
    "simulate",
    "start_from",
    "summary",
]

_HOMES = {
    "Amortised": "bayesastro.inference.neural.amortised",
    "Bank": "bayesastro.banks.bank",
    "Classifier": "bayesastro.inference.neural.classifier",
    "Corrected": "bayesastro.inference.neural.corrected",
    "Ensemble": "bayesastro.inference.ensemble",
    "GeoVI": "bayesastro.inference.geovi",
    "MCLMC": "bayesastro.inference.mclmc",
    "NLE": "bayesastro.inference.neural.nle",
    "NPE": "bayesastro.inference.neural.npe",
    "NRE": "bayesastro.inference.neural.nre",
    "NUTS": "bayesastro.inference.nuts",
    "NestedSampler": "bayesastro.inference.nested",
    "Pathfinder": "bayesastro.inference.pathfinder",
    "Problem": "bayesastro.problem",
    "SMC": "bayesastro.inference.smc",
    "Surrogate": "bayesastro.inference.neural.surrogate",
    "TMNRE": "bayesastro.inference.neural.tmnre",
    "calibrate": "bayesastro.calibration.calibrate",
    "check_fit": "bayesastro.predictive_checks",
    "check_local": "bayesastro.calibration.lc2st",
    "compare": "bayesastro.comparison",
    "cramer_rao": "bayesastro.bounds",
    "crosscheck": "bayesastro.agreement",
    "diagnose": "bayesastro.diagnostics",
    "enable_compilation_cache": "bayesastro.compilation",
    "external": "bayesastro.callbacks",
    "fit": "bayesastro.drive",
    "fit_many": "bayesastro.many",
    "information": "bayesastro.inference.neural.information",
    "informed": "bayesastro.posterior_priors",
    "load": "bayesastro.result",
    "predict": "bayesastro.predictive",
    "register_fisher": "bayesastro.fisher",
    "reliability": "bayesastro.calibration.reliability",
    "save": "bayesastro.result",
    "simulate": "bayesastro.banks.simulation",
    "start_from": "bayesastro.stages",
    "summary": "bayesastro.result",
}


import_hook.install()


def __getattr__(name: str) -> Any:
    try:
        if name == "plot":
            value = import_module("bayesastro.plots")
        elif name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        else:
            raise AttributeError(f"module `bayesastro` has no attribute `{name}`")
    except ImportError as error:
        if sys._getframe(1).f_code.co_name == "_handle_fromlist":
            raise  # `from bayesastro import NPE`: of an AttributeError Python would tell only that it cannot import the name
        raise AttributeError(str(error)) from error  # what `hasattr`, `inspect` and `help` expect
    globals()[name] = value  # the next look-up is an ordinary one, and no submodule of the same name can shadow it
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
