"""Inference engines, one a file, all under the contract of :mod:`bayesastro.inference.engine`.

An engine sees a problem's *views* and never NumPyro: a chart with a log-density, prior and likelihood, all pure
functions of coordinates and data.
"""

from bayesastro.inference.engine import Block, Draws, Engine, Progress
from bayesastro.inference.ensemble import Ensemble
from bayesastro.inference.geovi import GeoVI
from bayesastro.inference.mclmc import MCLMC
from bayesastro.inference.nested import NestedSampler
from bayesastro.inference.nuts import NUTS
from bayesastro.inference.pathfinder import Pathfinder
from bayesastro.inference.smc import SMC

__all__ = [
    "MCLMC",
    "NUTS",
    "SMC",
    "Block",
    "Draws",
    "Engine",
    "Ensemble",
    "GeoVI",
    "NestedSampler",
    "Pathfinder",
    "Progress",
    "engines",
]


def engines() -> tuple[type[Engine], ...]:
    """Every engine that the package has."""
    return (NUTS, MCLMC, NestedSampler, SMC, GeoVI, Pathfinder, Ensemble)
