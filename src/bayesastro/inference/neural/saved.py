"""What is in a folder of trained networks, of whatever kind."""

from pathlib import Path

from bayesastro.inference.neural.amortised import Amortised
from bayesastro.inference.neural.artefact import kind_of
from bayesastro.inference.neural.surrogate import Surrogate
from bayesastro.inference.neural.trained_classifier import TrainedClassifier

__all__ = ["load_saved"]


def load_saved(folder: Path) -> Amortised | Surrogate | TrainedClassifier:
    """What one of their methods `save` wrote.

    Raises
    ------
    FileNotFoundError, ValueError
    """
    kind = kind_of(folder)
    if kind == "classifier":
        return TrainedClassifier.load(folder)
    return Surrogate.load(folder) if kind in Surrogate.kinds else Amortised.load(folder)
