"""`check_local`: whether an amortised posterior is right at the data observed; L-C2ST by regression.

Pairs of a truth and one posterior draw, both given the same simulated data, are told apart by a classifier that sees the
data, too; what it says of posterior draws at the data observed is the verdict there. Both are in units of the posterior
they belong to, by mean and covariance of further draws, so that narrow posteriors are compared as well as wide ones.

sbi's `LC2ST` trains a network for every replicate of the null, some 5 s for each at 10 000 simulations where all
replicates take a second here; its replicates mix rows of unlike data; and its p-value can be zero.
"""

import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd

from bayesastro.banks.rows import coordinates_at
from bayesastro.calibration.exchange import REPLICATES_AT_LEAST, REPLICATES_OVER_RATE, joint_level
from bayesastro.calibration.lc2st_report import LocalReport
from bayesastro.calibration.requirements import require_whole_prior
from bayesastro.calibration.summaries import classified, summary_plausibility
from bayesastro.calibration.two_sample import LocalTest, Place, local_test
from bayesastro.drive import check_kinds
from bayesastro.hints import told
from bayesastro.inference.engine import Engine, Progress
from bayesastro.inference.neural.amortised import Amortised
from bayesastro.inference.neural.posterior import NeuralPosterior
from bayesastro.labels import labels_of
from bayesastro.predictive import require_generative
from bayesastro.problem import Problem
from bayesastro.progress import Reporter
from bayesastro.result import replay_draws
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["check_local"]

MIN_SIMULATIONS = 500

DRAWS_AT_LEAST, DRAWS_OVER_COORDINATES = 64, 5
"""Further draws of each posterior, for its mean and covariance."""

DRAWS_AT_OBSERVED = 1000

SIMULATIONS_TOGETHER = 512


@asks_for("seed")
def check_local(
    problem: Problem,
    amortised: Amortised,
    *,
    num_simulations: int = 4000,
    seed: int,
    observed: Mapping[str, Any] | None = None,
    false_alarm: float = 0.01,
    progress: bool = True,
) -> LocalReport:
    """Say whether an amortised posterior is right at the data observed, from simulations of which the truth is known.

    A posterior that passes :func:`calibrate` on the average over the prior can be wrong at the data at hand. Nothing is
    fitted: draws of all simulations take seconds. Beside the verdict, parameters for which the posterior is off or
    of the wrong width, where it lacks draws, and whether the network has seen data like these at all.

    Parameters
    ----------
    problem : Problem
    amortised : Amortised
    num_simulations : int
        1000 find a shift of half a posterior sd about the observed data of a few numbers, 4000 one of 0.3 sd.
    seed : int
    observed : mapping of str to array, shape (dataset, ...), optional
        Data sets to look at, for each observed site. By default the problem's own.
    false_alarm : float
        Probability that a right posterior fails, all data sets together.
    progress : bool

    Returns
    -------
    LocalReport

    Raises
    ------
    TypeError
        If the engine is not an `Amortised` posterior.
    ValueError
        If the posterior is of another program or was trained on a part of the prior, the program does not generate its
        data, or a setting makes no sense.

    Notes
    -----
    The classifier sees the data where they are at most 16 numbers, and otherwise the network's summary of them: what
    that leaves out is for :func:`calibrate` to find. The false-alarm rate is exact if the posterior is right for all
    data; where it is wrong for data unlike those observed, more or less as far as the classifier tells them apart.

    References
    ----------
    Linhart, Gramfort & Rodrigues 2023, NeurIPS (arXiv:2306.03580); Kim, Lee & Lei 2019, Electron. J. Stat. 13, 5253
    (arXiv:1812.08927); misspecification in summaries: Schmitt et al. 2023, GCPR (arXiv:2112.08866).
    """
    seed = checked_seed(seed)
    _check(problem, amortised, num_simulations, false_alarm)
    if observed is None:
        observed = {name: np.asarray(value)[None] for name, value in problem.observed.items()}
    at, _ = amortised.trained.checked(observed)
    reporter = Reporter("check_local", shown=progress)
    return _report(problem, amortised.posterior, at, num_simulations, seed, false_alarm, reporter)


def _check(problem: Problem, amortised: Amortised, num_simulations: int, false_alarm: float) -> None:
    """Raise before anything is simulated."""
    check_kinds("check_local", problem, amortised)
    if not isinstance(amortised, Amortised):
        name = type(amortised).__name__ if isinstance(amortised, Engine) else repr(amortised)
        raise TypeError(
            f"`check_local` draws from thousands of posteriors at once, for which it needs an `Amortised` one, but `{name}` "
            'came. Use `calibrate(problem, engine, near="observed", ...)`.'
        )
    require_generative(problem, "check_local")
    amortised.validate(problem)
    require_whole_prior(amortised, "check_local")
    if not isinstance(num_simulations, int | np.integer) or num_simulations < MIN_SIMULATIONS:
        raise ValueError(
            f"`check_local` needs `num_simulations` of at least {MIN_SIMULATIONS}, of which few are like the observed "
            f"data, but {told(num_simulations)} came."
        )
    if not 1e-3 <= false_alarm < 1:
        raise ValueError(f"`false_alarm` must be from 0.001 to 1, but {told(false_alarm)} came.")


def _report(
    problem: Problem,
    posterior: NeuralPosterior,
    at: Mapping[str, np.ndarray],
    num_simulations: int,
    seed: int,
    false_alarm: float,
    reporter: Reporter,
) -> LocalReport:
    """Simulations, draws, and what they say of the data sets to look at."""
    began, number = time.monotonic(), len(next(iter(at.values())))
    truths, x = _simulations(problem, posterior, num_simulations, seed)
    reporter.update(Progress(1, 3, "drawing", {}))
    first, second = _pairs(posterior, truths, x, seed)
    draws = posterior.draw(at, DRAWS_AT_OBSERVED, [(seed, num_simulations + i) for i in range(number)]).coordinates
    reporter.update(Progress(2, 3, "comparing", {}))
    features, features_at, seen = classified(posterior, x, at)
    is_fine = np.isfinite(np.concatenate([first, second, features], axis=1)).all(1)
    points = [_whitened(z[None], z[None])[0] for z in draws]
    places = [Place(*pair) for pair in zip(features_at, points, strict=True)]
    tests = _tests(first[is_fine], second[is_fine], features[is_fine], places, false_alarm, seed)
    p, level = joint_level({str(i): -test.statistics for i, test in enumerate(tests)}, false_alarm)
    reporter.update(Progress(3, 3, "done", {}))
    return LocalReport(
        tests=tuple(tests),
        p=np.array(list(p.values())),
        level=level,
        false_alarm=false_alarm,
        points=tuple(points),
        draws=tuple(_parameters(problem, z) for z in draws),
        labels=list(posterior.labels),
        plausibility=summary_plausibility(posterior, x, at, false_alarm, seed),
        attributes={
            "num_simulations": int(is_fine.sum()),
            "num_failed": int((~is_fine).sum()),
            "classified_by": seen,
            "program_fingerprint": problem.fingerprint,
            "trained": posterior.fingerprint,
            "seed": seed,
            "seconds": time.monotonic() - began,
        },
    )


def _simulations(
    problem: Problem, posterior: NeuralPosterior, number: int, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Coordinates of the truths, and their data."""
    theta, x = problem.simulate(number, key=jax.random.fold_in(jax.random.key(seed), 1))
    return coordinates_at(problem, theta)[0], {name: np.asarray(x[name], float) for name in posterior.shapes}


def _pairs(
    posterior: NeuralPosterior, truths: np.ndarray, x: Mapping[str, np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Truths, and one draw for each, in units of their posteriors."""
    num = max(DRAWS_AT_LEAST, DRAWS_OVER_COORDINATES * truths.shape[1])
    parts = []
    for start in range(0, len(truths), SIMULATIONS_TOGETHER):
        z = truths[start : start + SIMULATIONS_TOGETHER]
        numbers = range(start, start + len(z))
        draws = posterior.draw(
            {n: v[start : start + len(z)] for n, v in x.items()}, 1 + num, [(seed, i) for i in numbers]
        )
        pair = np.stack([z, draws.coordinates[:, 0]], axis=1)
        parts.append(_whitened(pair, draws.coordinates[:, 1:]))
    whole = np.concatenate(parts)
    return whole[:, 0], whole[:, 1]


def _whitened(points: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Points of shape (dataset, point, coordinate) in units of draws of shape (dataset, draw, coordinate)."""
    mean = draws.mean(1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", draws - mean, draws - mean) / (draws.shape[1] - 1)
    found = np.full(points.shape, np.nan)
    is_fine = np.isfinite(covariance).all((1, 2))
    factor = np.linalg.cholesky(covariance[is_fine])
    found[is_fine] = np.linalg.solve(factor, np.swapaxes(points - mean, 1, 2)[is_fine]).swapaxes(1, 2)
    return found


def _tests(
    first: np.ndarray, second: np.ndarray, x: np.ndarray, places: list[Place], false_alarm: float, seed: int
) -> list[LocalTest]:
    """With as many replicates of the null as the false-alarm rate needs."""
    number = int(np.ceil(max(REPLICATES_AT_LEAST, REPLICATES_OVER_RATE / false_alarm))) - 1
    return local_test(first, second, x, places, number, np.random.default_rng(seed))


def _parameters(problem: Problem, coordinates: np.ndarray) -> pd.DataFrame:
    """Scalars of the latent sites, by draw."""
    values = replay_draws(problem.data, problem.views(), "unconstrained", (), coordinates)
    sites = problem.parameters
    flat = np.concatenate([values[site.name].reshape(len(coordinates), -1) for site in sites], axis=1)
    return pd.DataFrame(flat, columns=labels_of((site.name, site.shape) for site in sites))
