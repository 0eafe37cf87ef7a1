"""The rules by which two engines agree, differ, or cannot be told apart with the draws there are.

All shifts are in posterior sds. With a tolerance t, a Monte Carlo error e of a shift and the quantile z of its test, a
shift is seen if it is larger than t + z e. Engines differ in what is seen. They agree in what is not, if z e is at most
`RESOLUTION`; beyond it a shift that matters could be there unseen, and nothing is decided.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, f, norm

__all__ = ["MIN_CLASSIFIED", "Pair", "judged"]

RESOLUTION = 0.5
"""Largest z e, in posterior sds. With z of 3.7 (three parameters, a false-alarm rate of 1 %) two engines need some 110
independent draws each; the 400 that `diagnose` asks for are enough for 10⁴ parameters."""

MAX_RHAT = 1.05
"""Beyond it four chains are worth less than a hundred draws, and the error of their mean is itself known from four
numbers: no shift of theirs is a difference between engines. Short chains have larger ones by chance."""

EVIDENCE_RESOLUTION = 3.0
"""Largest z e of log-evidences: odds of twenty, strong evidence by Kass & Raftery 1995 (JASA 90, 773)."""

MIN_CLASSIFIED = 100
"""Independent draws below which a classifier can tell nothing."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is known of two engines.

    Attributes
    ----------
    names : sequence of str
    shifts : pandas.DataFrame
        By parameter: ``mean`` and ``sd``, and their Monte Carlo errors ``mean_error`` and ``sd_error``.
    errors : dict of str to array, shape (2, parameter)
        The engines' own parts of the errors of ``mean`` and ``sd``.
    rhat : array, shape (2, parameter)
        NaN where it means nothing.
    sizes : sequence of (int, int)
        Numbers of chains, and of draws in each.
    classified, evidence : dict of str to float
        As in `Agreement.pairs`.
    evidence_errors : sequence of float
        Of the two engines.
    """

    names: Sequence[str]
    shifts: pd.DataFrame
    errors: Mapping[str, np.ndarray]
    rhat: np.ndarray
    sizes: Sequence[tuple[int, int]]
    classified: Mapping[str, float]
    evidence: Mapping[str, float]
    evidence_errors: Sequence[float]

    def unmixed(self, level: float) -> np.ndarray:
        """Where chains did not mix, of shape (2, parameter)."""
        limits = [max(MAX_RHAT, _by_chance(chains, draws, level)) for chains, draws in self.sizes]
        return self.rhat > np.array(limits)[:, None]

    def worse(self, errors: Any) -> str:
        """The name of the engine with the larger error."""
        return self.names[int(np.argmax(np.nan_to_num(np.asarray(errors), nan=np.inf)))]


def _by_chance(num_chains: int, num_draws: int, level: float) -> float:
    """Split R̂ that independent draws exceed with a probability of `level`: R̂² = 1 + (F − 1) / n, of halves of n draws."""
    halves, n = 2 * num_chains, max(num_draws // 2, 2)
    return float(np.sqrt(1 + (f.isf(level, halves - 1, halves * (n - 1)) - 1) / n))


def judged(pair: Pair, tolerance: float, level: float) -> dict[str, Any]:
    """One pair's figures with the verdict and its reason; `level` is the probability of a false alarm of one test."""
    z = float(norm.isf(level / 2))
    differences = list(_differences(pair, tolerance, level, z))
    doubts = [] if differences else list(_doubts(pair, tolerance, level, z))
    verdict = "fail" if differences else "undecided" if doubts else "pass"
    return {**pair.classified, **pair.evidence, "verdict": verdict, "reason": "; ".join(differences or doubts)}


def _differences(pair: Pair, tolerance: float, level: float, z: float) -> Iterator[str]:
    """What the two differ in by more than chance and tolerance."""
    is_mixed = ~pair.unmixed(level).any(axis=0)
    for what in ("mean", "sd"):
        excess = np.abs(pair.shifts[what].to_numpy()) - z * pair.shifts[f"{what}_error"].to_numpy()
        excess = np.where(is_mixed & np.isfinite(excess), excess, -np.inf)
        worst = int(np.argmax(excess))
        if excess[worst] > tolerance:
            yield f"the {what} of `{pair.shifts.index[worst]}` by {pair.shifts[what].iloc[worst]:.2g} sd"
    total, accuracy = pair.classified["num_classified"], pair.classified["accuracy"]
    if np.isfinite(accuracy) and binom.sf(round(accuracy * total) - 1, total, 0.5 + tolerance / 2) < level:
        yield f"draws that a classifier tells apart with an accuracy of {accuracy:.3f}"
    difference, error = pair.evidence["log_evidence"], pair.evidence["log_evidence_error"]
    if abs(difference) > tolerance + z * error:
        yield f"log-evidence by {difference:.2g} ± {error:.2g}"


def _doubts(pair: Pair, tolerance: float, level: float, z: float) -> Iterator[str]:
    """Why differences could be there unseen: the causes, without what follows from them."""
    causes = [*_unmixed(pair, level)] or [*_unresolved(pair, tolerance, z)]
    if not causes and not np.isfinite(pair.classified["accuracy"]):
        engine, parameter = map(int, np.unravel_index(np.argmax(pair.errors["mean"]), pair.errors["mean"].shape))
        causes = [
            f"the draws of `{pair.names[engine]}` are worth {int(pair.classified['num_classified'])} independent ones, "
            f"fewest in `{pair.shifts.index[parameter]}`, where a classifier needs {MIN_CLASSIFIED}"
        ]
    yield from causes
    error = pair.evidence["log_evidence_error"]
    if np.isfinite(pair.evidence["log_evidence"]) and not z * error <= EVIDENCE_RESOLUTION:
        yield (
            f"the log-evidences could differ by {tolerance + z * error:.2g} unseen: the error of their difference is "
            f"{error:.2g}, most of it of `{pair.worse(pair.evidence_errors)}`"
        )


def _unmixed(pair: Pair, level: float) -> Iterator[str]:
    """Of each engine the parameter in which its chains disagree most."""
    for name, rhat, is_bad in zip(pair.names, pair.rhat, pair.unmixed(level), strict=True):
        bad = np.flatnonzero(is_bad)
        if bad.size:
            worst = bad[np.argmax(rhat[bad])]
            more = f", nor in {bad.size - 1} more" if bad.size > 1 else ""
            yield f"the chains of `{name}` did not mix in `{pair.shifts.index[worst]}` (R̂ {rhat[worst]:.3g}){more}"


def _unresolved(pair: Pair, tolerance: float, z: float) -> Iterator[str]:
    """The mean and the sd whose shift is known worst."""
    for what in ("mean", "sd"):
        error = np.nan_to_num(pair.shifts[f"{what}_error"].to_numpy(), nan=np.inf)
        worst = int(np.argmax(error))
        if not z * error[worst] <= RESOLUTION:
            yield (
                f"the {what} of `{pair.shifts.index[worst]}` could be shifted by {tolerance + z * error[worst]:.2g} sd "
                f"unseen: its Monte Carlo error is {error[worst]:.2g} sd, most of it of "
                f"`{pair.worse(pair.errors[what][:, worst])}`"
            )
