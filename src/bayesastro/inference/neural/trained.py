"""What training leaves behind: networks with all that is needed to use them; the base of posteriors and surrogates."""

import functools
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bayesastro.inference.neural.familiarity import Familiarity
from bayesastro.inference.neural.network import Learner
from bayesastro.inference.neural.standardise import Standardisation
from bayesastro.inference.neural.training import History

__all__ = ["Trained"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained(ABC):
    """Networks learnt from a bank; abstract.

    Parameters
    ----------
    networks : tuple of Learner
        All equally probable.
    scale : Standardisation
    familiarity : Familiarity
    identity : mapping
        Of the bank: whose simulations they were.
    labels : list of str
        A name for each coordinate.
    num_simulations, num_failed : int
        Rows of the bank; those that failed were left out.
    histories : tuple of History
        By network.
    settings : mapping
        Of the training, as JSON has them.
    seed : int
        Of the training.
    """

    networks: tuple[Learner, ...]
    scale: Standardisation
    familiarity: Familiarity
    identity: Mapping[str, Any]
    labels: list[str]
    num_simulations: int
    num_failed: int
    histories: tuple[History, ...]
    settings: Mapping[str, Any]
    seed: int

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        digest = hashlib.sha256()
        for network in self.networks:
            for name, value in network.state_dict().items():
                digest.update(name.encode())
                digest.update(value.numpy().tobytes())
        return digest.hexdigest()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one row of each observed site."""
        return {name: scale.kept.shape for name, scale in self.scale.sites.items()}

    def checked(self, observed: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], int]:
        """Observed values of many data sets, and their number.

        Raises
        ------
        ValueError
            If a site is missing, or shapes are not those that were trained with.
        """
        values = {}
        for name, shape in self.shapes.items():
            if name not in observed:
                raise ValueError(f"Values of the observed site `{name}` are needed; they came for {sorted(observed)}.")
            values[name] = np.asarray(observed[name], float)
            if values[name].shape[1:] != shape:
                raise ValueError(
                    f"`{name}` was trained with shape {shape}, but values of shape {values[name].shape} came, of which "
                    "the first axis counts the data sets. Give the shape that was trained with."
                )
        numbers = {name: len(value) for name, value in values.items()}
        if len(set(numbers.values())) > 1:
            raise ValueError(f"The observed sites have unlike numbers of data sets: {numbers}.")
        return values, next(iter(numbers.values()))

    @abstractmethod
    def evaluate(self, coordinates: np.ndarray, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """What was learnt, of unconstrained coordinates of shape (dataset, draw, coordinate) and data sets."""

    def outside(self, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """How far data sets lie outside those that were trained on; see :class:`Familiarity`."""
        x = self.tensors(observed)
        with torch.no_grad():
            return self.familiarity(self.networks[0].context(x).numpy(), x)

    def tensors(self, observed: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Standardised values of the observed sites, of shape (dataset, …)."""
        return {name: torch.from_numpy(values) for name, values in self.scale.observed(observed).items()}

    def figures(self) -> dict[str, Any]:
        """Of the training, for a result."""
        return {
            "num_simulations": self.num_simulations,
            "num_networks": len(self.networks),
            "validation_loss": math.fsum(history.best for history in self.histories) / len(self.histories),
            "training_seconds": math.fsum(history.seconds for history in self.histories),
        }
