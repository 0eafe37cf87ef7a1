"""Agreement between engines on one problem: where two exact engines differ, one of them is wrong.

Draws are compared parameter by parameter in shifts of mean and sd, all parameters together by a classifier that tries
to tell the draws of two engines apart, and by their evidences. Parameters are taken as the normal scores of their ranks
among the draws of both engines: a shift is then in posterior sds where the posterior is near to normal, and has a
meaning where its moments do not exist.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from scipy.stats import binom, norm, rankdata
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bayesastro.agreement_rules import MIN_CLASSIFIED, Pair, judged
from bayesastro.diagnostics import Diagnosis, diagnose
from bayesastro.drive import fit
from bayesastro.hints import told
from bayesastro.inference.engine import Engine
from bayesastro.labels import labels_of
from bayesastro.monte_carlo import effective_draws, mean_and_error, rank_rhat
from bayesastro.plots import COLORS
from bayesastro.precision import Precision
from bayesastro.problem import Problem
from bayesastro.result import legal_name, require_one
from bayesastro.seeds import asks_for, checked_seed
from bayesastro.tables import Table

__all__ = ["Agreement", "crosscheck"]

MAX_CLASSIFIED = 2000
"""Draws of each engine that the classifier is given."""

MAX_FEATURES = 200
"""Parameters that it is given, evenly chosen."""

HIDDEN = 32

MARKERS = "osD^v"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What :func:`crosscheck` found.

    Attributes
    ----------
    results : dict of str to DataTree
        The results compared, by the name of their engine.
    shifts : pandas.DataFrame
        By pair of engines and parameter: ``mean`` and ``sd``, the shifts from the first to the second in posterior sds,
        and their Monte Carlo errors ``mean_error`` and ``sd_error``.
    pairs : pandas.DataFrame
        By pair: the classifier's ``accuracy`` on held-out draws (0.5 where nothing can be told apart), ``p`` of one so
        large, the number of draws ``num_classified``; ``log_evidence``, the difference of evidences, and its error;
        ``verdict``; and ``reason``, what they differ in, or why differences could be there unseen.
    tolerance, false_alarm : float
    """

    results: dict[str, xr.DataTree]
    shifts: pd.DataFrame
    pairs: pd.DataFrame
    tolerance: float
    false_alarm: float

    @property
    def verdict(self) -> str:
        """``"fail"`` if a pair differs; ``"undecided"`` if of a pair the draws cannot tell; otherwise ``"pass"``."""
        found = set(self.pairs["verdict"])
        return next((verdict for verdict in ("fail", "undecided") if verdict in found), "pass")

    @cached_property
    def diagnoses(self) -> dict[str, Diagnosis]:
        """What :func:`diagnose` finds about each result, by the engine's name."""
        return {name: diagnose(result) for name, result in self.results.items()}

    def summary(self) -> pd.DataFrame:
        """The worst shifts of each pair beside its other figures."""
        by_pair: Any = self.shifts[["mean", "sd"]].abs().groupby(level=["first", "second"], sort=False)
        return Table(by_pair.max().add_prefix("largest_").add_suffix("_shift").join(self.pairs))

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {len(self.results)} engines, at a false-alarm rate of {self.false_alarm:g}"]
        for row in self.summary().reset_index().to_dict("records"):
            text = (
                f"{row['first']} – {row['second']}: means within {row['largest_mean_shift']:.2g} sd, sds within "
                f"{100 * row['largest_sd_shift']:.2g} %, classifier {row['accuracy']:.3f}"
            )
            if np.isfinite(row["log_evidence"]):
                text += f", Δ log Z = {row['log_evidence']:.2g} ± {row['log_evidence_error']:.2g}"
            told = {"fail": "; they differ in ", "undecided": "; undecided: ", "pass": ""}
            lines.append(text + told[row["verdict"]] + row["reason"])
        for name, diagnosis in self.diagnoses.items():
            lines += [f"{name}: {finding}" for finding in diagnosis]
        return "\n".join(lines)

    def plot(self) -> Figure:
        """Shifts of means and sds of every parameter with their errors, one panel for each, and the tolerance."""
        names = list(self.shifts.index.get_level_values("parameter").unique())
        height = 1.5 + 0.4 * len(names) * max(1, len(self.pairs) / 3)
        figure, axes = plt.subplots(1, 2, sharey=True, figsize=(10, height), layout="constrained")
        for axis, what in zip(axes, ("mean", "sd"), strict=True):
            for i, pair in enumerate(self.pairs.index):
                rows = self.shifts.xs(pair, level=("first", "second"))
                place = np.arange(len(names)) + 0.6 * ((i + 0.5) / len(self.pairs) - 0.5)
                style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i // len(COLORS) % len(MARKERS)]}
                error = 2 * rows[f"{what}_error"]
                axis.errorbar(
                    rows[what], place, xerr=error, ls="", ms=4, lw=1.2, label=f"{pair[1]} − {pair[0]}", **style
                )
            axis.axvspan(-self.tolerance, self.tolerance, color="0.9", zorder=0)
            axis.axvline(0, color="0.6", lw=0.8, zorder=1)
            axis.set_xlabel(f"shift of the {what} [posterior sd], ± 2 errors")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].invert_yaxis()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
        return figure


@asks_for("seed")
def crosscheck(
    problem: Problem,
    engines: Sequence[Engine] | Mapping[str, Engine | xr.DataTree],
    *,
    seed: int,
    tolerance: float = 0.1,
    false_alarm: float = 0.01,
    progress: bool = True,
    precision: Precision = "double",
) -> Agreement:
    """Fit a problem with several engines and say whether they agree, differ, or cannot be told apart.

    Two engines differ if a mean or an sd is shifted, or the log-evidence differs, by more than t + z e: the tolerance t,
    and the Monte Carlo error e times the quantile z of the false-alarm rate; or if a classifier tells their draws apart
    better than at an accuracy of (1 + t)/2. Otherwise they agree, if the draws could have shown a difference: no shift has
    a z e above 0.5 posterior sd, the log-evidence none above 3, and there are 100 independent draws for the classifier.
    If not, or where the chains of an engine did not mix (R̂ above 1.05), so that its errors are unknown, the verdict is
    ``"undecided"``, with the parameter, the engine and the reason. Engines that err in the same way agree:
    :func:`calibrate` finds that too.

    Parameters
    ----------
    problem : Problem
    engines : sequence of Engine, or mapping of str to Engine or DataTree
        Engines, by name where two are of the same kind; or results of the problem that are there already.
    seed : int
    tolerance : float
        Shift of a mean or an sd that does not matter, in posterior sds. With 0 the smallest one counts that the draws
        can tell.
    false_alarm : float
        Probability that engines which draw from the same posterior are said to differ.
    progress : bool
    precision : {"double", "single"}

    Returns
    -------
    Agreement

    Raises
    ------
    ValueError
        If there are fewer than two engines, one cannot run the problem, a result is of another problem or of several
        data sets, or has no draws, or a setting makes no sense.
    KeyboardInterrupt
        If Ctrl-C ended one of the fits.

    References
    ----------
    Lopez-Paz & Oquab 2017, ICLR (arXiv:1610.06545), classifier two-sample tests;
    Vehtari et al. 2021, Bayesian Analysis 16, 667 (arXiv:1903.08008), rank normalisation.
    """
    seed = checked_seed(seed)
    named = dict(engines) if isinstance(engines, Mapping) else _by_name(engines)
    _check(problem, named, tolerance, false_alarm)
    results = _fitted(problem, named, seed, {"progress": progress, "precision": precision})
    columns = {name: _columns(problem, name, result) for name, result in results.items()}
    labels = next(iter(columns.values()))[0]
    draws = {name: values for name, (_, values) in columns.items()}
    rhat = {name: rank_rhat(result, draws[name]) for name, result in results.items()}
    couples = list(combinations(results, 2))
    # One rate for all tests: two shifts for each parameter, a classifier and an evidence.
    level = false_alarm / (len(couples) * (2 * len(labels) + 2))
    pairs = {couple: _pair(couple, results, draws, rhat, labels, seed) for couple in couples}
    shifts: dict[Any, pd.DataFrame] = {couple: pair.shifts for couple, pair in pairs.items()}
    index = pd.MultiIndex.from_tuples(couples, names=["first", "second"])
    return Agreement(
        results=results,
        shifts=pd.concat(shifts, names=["first", "second"]),
        pairs=pd.DataFrame([judged(pair, tolerance, level) for pair in pairs.values()], index=index),
        tolerance=tolerance,
        false_alarm=false_alarm,
    )


def _fitted(problem: Problem, named: Mapping[str, Any], seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """A result of each engine; those that are results already as they are."""
    results = {}
    for i, (name, engine) in enumerate(named.items()):
        if isinstance(engine, xr.DataTree):
            results[name] = engine
            continue
        results[name] = fit(problem, engine, seed=seed + i, **options)
        if results[name].attrs["status"] == "interrupted":
            raise KeyboardInterrupt(f"The fit by `{name}` was interrupted.")
    return results


def _pair(
    names: tuple[str, str],
    results: Mapping[str, xr.DataTree],
    draws: Mapping[str, np.ndarray],
    rhat: Mapping[str, np.ndarray],
    labels: list[str],
    seed: int,
) -> Pair:
    """Everything that two engines are judged by."""
    both, drawn = [results[name] for name in names], [draws[name] for name in names]
    shifts, errors = _shifts(both, drawn, labels)
    return Pair(
        names=names,
        shifts=shifts,
        errors=errors,
        rhat=np.stack([rhat[name] for name in names]),
        sizes=[(d.shape[0], d.shape[1]) for d in drawn],
        classified=_classified(both, drawn, np.random.default_rng(seed)),
        evidence=_evidence_difference(both[0], both[1]),
        evidence_errors=[float(r.attrs.get("log_evidence_err", np.nan)) for r in both],
    )


def _by_name(engines: Sequence[Engine]) -> dict[str, Engine]:
    names = [type(engine).__name__ for engine in engines]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"`crosscheck` got several engines of the kind `{repeated[0]}`. Give them names: "
            '`{"short": NUTS(...), "long": NUTS(...)}`.'
        )
    return dict(zip(names, engines, strict=True))


def _check(problem: Problem, named: Mapping[str, Any], tolerance: float, false_alarm: float) -> None:
    """Raise before any engine runs."""
    if len(named) < 2:
        raise ValueError(f"`crosscheck` needs at least two engines, but {len(named)} came.")
    if not 0 <= tolerance < 1:
        raise ValueError(f"`tolerance` must be from 0 to 1, but {told(tolerance)} came.")
    if not 0 < false_alarm < 1:
        raise ValueError(f"`false_alarm` must be between 0 and 1, but {told(false_alarm)} came.")
    for name, engine in named.items():
        if isinstance(engine, xr.DataTree):
            require_one(engine, f"The result `{name}`")
            if engine.attrs.get("program_fingerprint") != problem.fingerprint:
                raise ValueError(f"The result `{name}` is of another program than the problem. Fit it again.")
        elif isinstance(engine, Engine):
            engine.validate(problem)
        else:
            raise TypeError(f"`crosscheck` needs engines or results, but `{name}` is {told(engine)}.")


def _columns(problem: Problem, name: str, result: xr.DataTree) -> tuple[list[str], np.ndarray]:
    """Labels of the latent parameters' scalars, and their draws of shape (chain, draw, scalar)."""
    posterior = result["posterior"].to_dataset()
    if posterior.sizes.get("draw", 0) < 4:
        raise ValueError(f"The result of `{name}` has no draws to compare. Run it for longer, or leave it out.")
    parts = [posterior[legal_name(site.name)].values for site in problem.parameters]
    columns = np.concatenate([values.reshape(*values.shape[:2], -1) for values in parts], axis=-1)
    if not np.isfinite(columns).all():
        raise ValueError(f"The result of `{name}` has draws that are not finite. See `diagnose`.")
    return labels_of((site.name, site.shape) for site in problem.parameters), columns


def _shifts(
    results: Sequence[xr.DataTree], draws: Sequence[np.ndarray], labels: list[str]
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Shifts of mean and sd from the first to the second, of the normal scores of the common ranks; and errors of each."""
    flat = [d.reshape(-1, d.shape[-1]) for d in draws]
    # Both count the same however many their draws: ranks are averages of those within each.
    scores = [_scores(draws[i], flat[0], flat[1]) for i in range(2)]
    columns: dict[str, np.ndarray] = {}
    errors: dict[str, np.ndarray] = {}
    # With the sds of independent draws of one posterior: few draws may have errors that look smaller by chance.
    for what, moment, sd in (("mean", lambda z: z, 1.0), ("sd", lambda z: 0.5 * z**2, np.sqrt(0.5))):
        (first, first_error), (second, second_error) = (
            mean_and_error(r, moment(z)) for r, z in zip(results, scores, strict=True)
        )
        least = np.array([sd / np.sqrt(len(d)) for d in flat])[:, None]
        errors[what] = np.maximum(np.stack([first_error, second_error]), least)
        columns |= {what: second - first, f"{what}_error": np.hypot(*errors[what])}
    return pd.DataFrame(columns, index=pd.Index(labels, name="parameter")), errors


def _scores(draws: np.ndarray, *samples: np.ndarray) -> np.ndarray:
    """Normal scores of draws by their mean rank in the samples."""
    scores = np.empty(draws.shape)
    for j in range(draws.shape[-1]):
        values = draws[..., j].ravel()
        ranks = []
        for sample in samples:
            ordered = np.sort(sample[:, j])
            below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
            ranks.append((0.5 * below + 0.375) / (len(ordered) + 0.75))
        scores[..., j] = norm.ppf(np.mean(ranks, axis=0)).reshape(draws.shape[:-1])
    return scores


def _classified(
    results: Sequence[xr.DataTree], draws: Sequence[np.ndarray], random: np.random.Generator
) -> dict[str, float]:
    """Accuracy on held-out draws of a classifier trained on the others, and its one-sided p-value."""
    enough = [int(min(effective_draws(r, d), MAX_CLASSIFIED)) for r, d in zip(results, draws, strict=True)]
    number = min(enough) // 2 * 2
    if number < MIN_CLASSIFIED:
        return {"accuracy": np.nan, "p": np.nan, "num_classified": number}
    chosen = np.linspace(0, draws[0].shape[-1] - 1, min(draws[0].shape[-1], MAX_FEATURES)).astype(int)
    parts = [d.reshape(-1, d.shape[-1])[:, chosen] for d in draws]
    parts = [part[random.choice(len(part), number, replace=False)] for part in parts]
    pooled = np.concatenate(parts)
    features = norm.ppf((rankdata(pooled, axis=0) - 0.375) / (len(pooled) + 0.25))
    is_second = np.repeat([0, 1], number)
    is_trained = np.tile(np.arange(number) % 2 == 0, 2)
    network = MLPClassifier((HIDDEN, HIDDEN), early_stopping=True, max_iter=200, random_state=0)
    classifier = make_pipeline(StandardScaler(), network).fit(features[is_trained], is_second[is_trained])
    held_out = ~is_trained
    correct = int(np.sum(classifier.predict(features[held_out]) == is_second[held_out]))
    total = int(held_out.sum())
    return {"accuracy": correct / total, "p": float(binom.sf(correct - 1, total, 0.5)), "num_classified": number}


def _evidence_difference(first: xr.DataTree, second: xr.DataTree) -> dict[str, float]:
    if any("log_evidence" not in result.attrs for result in (first, second)):
        return {"log_evidence": np.nan, "log_evidence_error": np.nan}
    return {
        "log_evidence": float(second.attrs["log_evidence"] - first.attrs["log_evidence"]),
        "log_evidence_error": float(np.hypot(*(r.attrs["log_evidence_err"] for r in (first, second)))),
    }
