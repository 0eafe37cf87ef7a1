"""`reliability`: whether probabilities of models are right: of data sets given 70 %, 70 % are of that model.

If probabilities p are right, the models of the data sets are draws from them. Drawing others in their place gives exact
replicates of any statistic of models and probabilities, and so exact p-values, of

* the expected calibration error: by model and bin of its probability, the distance between its frequency and its mean
  probability, weighted by the bin's data sets and averaged over the models;
* the log score, the mean of −log p of the true model: above its expectation if probabilities are too bold.

References
----------
Naeini, Cooper & Hauskrecht 2015, AAAI 29 (bins); Vaicenavicius et al. 2019, arXiv:1902.06977 (consistency resampling).
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bayesastro.banks.bank import Bank
from bayesastro.banks.simulation import simulate
from bayesastro.calibration.coverage import binomial_interval
from bayesastro.calibration.exchange import REPLICATES_AT_LEAST, REPLICATES_OVER_RATE, joint_level
from bayesastro.calibration.reliability_report import ReliabilityReport
from bayesastro.hints import told
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["Classifying", "assessed", "reliability"]

LEAST_SIMULATIONS = 100

BATCH = 1024
"""Data sets that are classified together."""

MAX_RATIO = 1e-12
"""Below it a probability counts as this, in the log score: a model held impossible that is true costs 28 nats."""


class Classifying(Protocol):
    """What gives probabilities of models; :class:`TrainedClassifier` does."""

    @property
    def prior(self) -> Mapping[str, float]:
        """Probability of each model before the data."""
        ...

    def probabilities(self, observed: Mapping[str, Any]) -> pd.DataFrame:
        """Data sets by models."""
        ...


@asks_for("seed")
def reliability(
    classifier: Classifying,
    problems: Mapping[str, Problem],
    *,
    num_simulations: int,
    seed: int,
    num_bins: int = 10,
    false_alarm: float = 0.01,
    progress: bool = True,
) -> ReliabilityReport:
    """Say whether probabilities of models are right, from simulations of which the model is known.

    Models are drawn with their prior probabilities, and a data set from each. That the probabilities are right does not
    mean that they are of use: the prior's own are right, too. How much the data say is the difference of the log scores.

    Parameters
    ----------
    classifier : TrainedClassifier
        Or anything that has a `prior` and a method `probabilities`.
    problems : mapping of str to Problem
        The models, by name.
    num_simulations : int
        1000 find log-odds of two models that are too large by a factor of 1.5, and 300 by a factor of 2.
    seed : int
    num_bins : int
        Of equally many data sets, for each model.
    false_alarm : float
        Probability that right probabilities fail.
    progress : bool

    Returns
    -------
    ReliabilityReport

    Raises
    ------
    ValueError
        If the models are not those of the classifier's prior, a program does not generate its data, or a setting makes
        no sense.
    """
    seed = checked_seed(seed)
    prior = {name: float(value) for name, value in classifier.prior.items()}
    _check(prior, problems, num_simulations, num_bins, false_alarm)
    models, random = list(prior), np.random.default_rng(seed)
    drawn = random.choice(len(models), num_simulations, p=np.array(list(prior.values())) / sum(prior.values()))
    parts, truth = [], []
    for i, name in enumerate(models):
        number = int((drawn == i).sum())
        if not number:
            continue
        # Another seed than the user's, whose rows the classifier may have been trained on.
        own = int(np.random.default_rng([seed, i]).integers(2**62))
        bank = simulate(problems[name], number, seed=own, progress=progress)
        found = _classified(classifier, bank, models)
        parts.append(found)
        truth.append(np.full(len(found), i))
    return assessed(
        pd.DataFrame(np.concatenate(parts), columns=pd.Index(models, name="model")).rename_axis("dataset"),
        np.concatenate(truth),
        prior=prior,
        num_bins=num_bins,
        false_alarm=false_alarm,
        seed=seed,
        num_failed=num_simulations - sum(map(len, truth)),
    )


def _check(prior: Mapping[str, float], problems: Mapping[str, Problem], number: Any, bins: Any, rate: Any) -> None:
    """Raise before anything is simulated."""
    if set(prior) != set(problems):
        raise ValueError(
            f"`reliability` needs problems of the classifier's models {list(prior)}, but {list(problems)} came."
        )
    if not isinstance(number, int | np.integer) or number < LEAST_SIMULATIONS:
        raise ValueError(
            f"`num_simulations` must be a whole number of at least {LEAST_SIMULATIONS}, but {told(number)} came."
        )
    if not isinstance(bins, int | np.integer) or bins < 1 or bins > number // 10:
        raise ValueError(
            f"`num_bins` must be a whole number from 1 to a tenth of `num_simulations`, but {told(bins)} came."
        )
    if not 1e-4 <= rate < 1:
        raise ValueError(f"`false_alarm` must be from 0.0001 to 1, but {told(rate)} came.")


def _classified(classifier: Classifying, bank: Bank, models: list[str]) -> np.ndarray:
    """Probabilities of the simulations that did not fail."""
    parts = [classifier.probabilities(x)[models].to_numpy(float) for _, x in bank.batches(BATCH, seed=None)]
    return np.concatenate([np.zeros((0, len(models))), *parts])


def assessed(
    probabilities: pd.DataFrame,
    truth: np.ndarray,
    *,
    prior: Mapping[str, float],
    num_bins: int,
    false_alarm: float,
    seed: int,
    num_failed: int = 0,
) -> ReliabilityReport:
    """Judge probabilities of data sets of which the model is known.

    Parameters
    ----------
    probabilities : pandas.DataFrame
        Data sets by models.
    truth : array of int, shape (dataset,)
        Number of the true model.
    prior, num_bins, false_alarm, seed, num_failed
        As for :func:`reliability` and its report.
    """
    p, random = probabilities.to_numpy(), np.random.default_rng([seed, len(prior)])
    p = p / p.sum(1, keepdims=True)
    places = np.stack([_bins(column, num_bins) for column in p.T], axis=1)
    log_p = np.log(np.maximum(p, MAX_RATIO))
    cumulative, rows = np.cumsum(p, axis=1)[:, :-1], np.arange(len(p))
    errors, scores = [], []
    for replicate in range(max(REPLICATES_AT_LEAST, int(np.ceil(REPLICATES_OVER_RATE / false_alarm))) + 1):
        models = truth if replicate == 0 else (random.random((len(p), 1)) > cumulative).sum(1)
        errors.append(_calibration_error(p, models, places, num_bins))
        scores.append(-log_p[rows, models].mean())
    error, score = np.array(errors), np.array(scores)
    usual = float(-(p * log_p).sum(1).mean())
    found, level = joint_level({"calibration_error": -error, "log_score": -np.abs(score - usual)}, false_alarm)
    checks = pd.DataFrame(
        {
            "value": [error[0], score[0]],
            "expected": [error[1:].mean(), usual],
            "p": list(found.values()),
            "passed": [value > level for value in found.values()],
        },
        index=pd.Index(list(found), name="check"),
    )
    chances = np.array([prior[name] for name in probabilities.columns])
    return ReliabilityReport(
        checks=checks,
        curve=_curve(p, truth, places, list(probabilities.columns)),
        scores={
            "accuracy": float((p.argmax(1) == truth).mean()),
            "brier": float(((p - np.eye(p.shape[1])[truth]) ** 2).sum(1).mean()),
            "log_score": float(score[0]),
            "prior_log_score": float(-np.log(chances)[truth].mean()),
        },
        probabilities=probabilities,
        truth=truth,
        level=level,
        num_failed=num_failed,
        false_alarm=false_alarm,
        seed=seed,
    )


def _bins(values: np.ndarray, number: int) -> np.ndarray:
    """The bin of each value, of equally many; those of equal values are the same."""
    edges = np.unique(np.quantile(values, np.arange(1, number) / number))
    return np.searchsorted(edges, values, side="right")


def _calibration_error(p: np.ndarray, models: np.ndarray, places: np.ndarray, num_bins: int) -> float:
    """Distances of frequencies and mean probabilities, averaged over the bins of each model, and over the models."""
    total = 0.0
    for i in range(p.shape[1]):
        total += np.abs(np.bincount(places[:, i], (models == i) - p[:, i], num_bins)).sum()
    return total / p.size


def _curve(p: np.ndarray, truth: np.ndarray, places: np.ndarray, models: list[str]) -> pd.DataFrame:
    rows = []
    for i, model in enumerate(models):
        for number, place in enumerate(np.unique(places[:, i])):
            inside = places[:, i] == place
            values, count = p[inside, i], int((truth[inside] == i).sum())
            low, high = binomial_interval(count, len(values))
            rows.append(
                {
                    "model": model,
                    "bin": number,
                    "low": values.min(),
                    "high": values.max(),
                    "number": len(values),
                    "probability": values.mean(),
                    "frequency": count / len(values),
                    "frequency_low": low,
                    "frequency_high": high,
                }
            )
    return pd.DataFrame(rows).set_index(["model", "bin"])
