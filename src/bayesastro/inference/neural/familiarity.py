"""Whether data are like those that a network was trained on.

Statistics of a data set: the Mahalanobis distance of the network's summary from those of the training rows; and for
each observed site the root mean square and the largest of its standardised values, for a network may be blind to what
no simulation has. Each is compared with the largest that validation rows have.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bayesastro.inference.neural.network import Learner
from bayesastro.inference.neural.training import Minibatches

__all__ = ["Familiarity", "familiarity_of"]

MAX_ROWS = 20_000
"""Of training, and of validation, that are looked at."""

BATCH = 1024


@dataclass(frozen=True, eq=False)
class Familiarity:
    """The ratio of a data set's statistics to the largest of the validation rows; above one it is outside the bank.

    Parameters
    ----------
    mean : array, shape (feature,)
    whitening : array, shape (feature, feature)
    limits : array, shape (1 + 2 × number of sites,)
        The largest statistics of the validation rows.
    """

    mean: np.ndarray
    whitening: np.ndarray
    limits: np.ndarray

    def __call__(self, context: np.ndarray, x: Mapping[str, Tensor]) -> np.ndarray:
        """For summaries of shape (row, feature) and standardised sites, the largest ratio by row."""
        return (_statistics(context, x, self.mean, self.whitening) / self.limits).max(1)


def _statistics(context: np.ndarray, x: Mapping[str, Tensor], mean: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    columns = [np.sqrt((((context.astype(float) - mean) @ whitening) ** 2).mean(1))]
    for values in x.values():
        flat = values.reshape(len(values), -1).numpy().astype(float)
        columns += [np.sqrt((flat**2).mean(1)), np.abs(flat).max(1)]
    return np.stack(columns, axis=1)


def familiarity_of(network: Learner, training: Minibatches, validation: Minibatches) -> Familiarity:
    """Learnt from rows of a bank."""
    contexts = np.concatenate([context for context, _ in _summaries(network, training)]).astype(float)
    mean = contexts.mean(0)
    values, vectors = np.linalg.eigh(np.cov(contexts, rowvar=False).reshape(len(mean), len(mean)))
    # A direction in which summaries hardly vary says nothing, and would turn rounding errors into distances.
    is_used = values > 1e-6 * values.max(initial=0.0)
    whitening = vectors[:, is_used] / np.sqrt(values[is_used]) if is_used.any() else np.zeros((len(mean), 1))
    found = [_statistics(context, x, mean, whitening) for context, x in _summaries(network, validation)]
    limits = np.concatenate(found).max(0)
    return Familiarity(mean, whitening, np.where(limits > 0, limits, np.inf))


def _summaries(network: Learner, rows: Minibatches) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    for number, (_, x) in enumerate(rows.epoch(BATCH, None)):
        if number * BATCH >= MAX_ROWS:
            return
        with torch.no_grad():  # not around the `yield`, from which it would spread
            context = network.context(x).numpy()
        yield context, x
