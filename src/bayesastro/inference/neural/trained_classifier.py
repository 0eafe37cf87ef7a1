"""`TrainedClassifier`: posterior probabilities of models given data, learnt once for all data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.special import softmax

from bayesastro.inference.neural import artefact
from bayesastro.inference.neural.classification import NeuralClassifier, checked_prior

__all__ = ["TrainedClassifier"]


@dataclass(frozen=True, kw_only=True)
class TrainedClassifier:
    """Probabilities of models; made by :meth:`Classifier.train` or :meth:`load`.

    Parameters
    ----------
    networks : NeuralClassifier
        The networks and what belongs to them.
    prior : mapping of str to float
        Probability of each model before the data; another one needs no training: `dataclasses.replace`.
    """

    networks: NeuralClassifier
    prior: Mapping[str, float]

    def __post_init__(self) -> None:
        checked_prior(self.prior, self.models)

    def __repr__(self) -> str:
        n = self.networks
        observed = ", ".join(f"{name}{list(shape) or ''}" for name, shape in n.shapes.items())
        models = ", ".join(f"{name} {self.prior[name]:.3g}" for name in self.models)
        return f"TrainedClassifier({models}; given {observed}; {len(n.networks)} × {n.num_simulations} simulations)"

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return self.networks.labels

    def probabilities(self, observed: Mapping[str, Any]) -> pd.DataFrame:
        """Posterior probabilities of the models.

        Parameters
        ----------
        observed : mapping of str to array, shape (dataset, ...)

        Returns
        -------
        pandas.DataFrame
            Data sets by models.

        Raises
        ------
        ValueError
            If a site is missing, or shapes are not those that were trained with.
        """
        values, _ = self.networks.checked(observed)
        log_prior = np.log([self.prior[name] for name in self.models])
        found = softmax(self.networks.log_evidences(values) + log_prior, axis=1)
        return pd.DataFrame(found, columns=pd.Index(self.models, name="model")).rename_axis("dataset")

    def log_bayes_factor(self, observed: Mapping[str, Any], first: str, second: str) -> np.ndarray:
        """log p(x | first) − log p(x | second), whatever the prior, shape (dataset,).

        Networks know little of it where it is beyond the logarithm of their number of simulations.

        Raises
        ------
        ValueError
            If a name is no model, or as for :meth:`probabilities`.
        """
        for name in (first, second):
            if name not in self.models:
                raise ValueError(f"`{name}` is none of the models {self.models}.")
        found = self.networks.log_evidences(self.networks.checked(observed)[0])
        return found[:, self.models.index(first)] - found[:, self.models.index(second)]

    def outside(self, observed: Mapping[str, Any]) -> np.ndarray:
        """How unlike data sets are to those of all models that were trained on, shape (dataset,); above one: outside.

        Probabilities are of these models alone; for data of none of them they mean nothing.
        """
        return self.networks.outside(self.networks.checked(observed)[0])

    def save(self, folder: str | Path) -> None:
        """Write what was learnt to a folder of its own; an old one is replaced in one step.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        artefact.save(self.networks, {"prior": dict(self.prior)}, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "TrainedClassifier":
        """What :meth:`save` wrote; :func:`bayesastro.load` does the same.

        Raises
        ------
        FileNotFoundError
            If nothing is there.
        ValueError
            If it is none, of another kind or version, damaged, or does not repeat its own values.
        """
        networks, settings = artefact.load(Path(folder), ("classifier",))
        return cls(networks=cast(NeuralClassifier, networks), prior=settings["prior"])
