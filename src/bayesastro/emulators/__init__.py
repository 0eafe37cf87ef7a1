"""Emulators that stand for a costly simulator, trained on a user's grid.

:class:`Multilayer`, :class:`Components` and :class:`Attention` learn from labels and outputs; what comes is a differentiable function
with a domain, outside of which it is NaN, and an error, which belongs into the likelihood.
"""

from bayesastro.emulators.accuracy import Accuracy
from bayesastro.emulators.attention import Attention
from bayesastro.emulators.multilayer import Components, Multilayer
from bayesastro.emulators.saved import load, save
from bayesastro.emulators.settings import TrainedEmulator
from bayesastro.emulators.training import History

__all__ = ["Accuracy", "Attention", "Components", "History", "Multilayer", "TrainedEmulator", "load", "save"]
