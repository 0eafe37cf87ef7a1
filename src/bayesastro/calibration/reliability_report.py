"""The report on probabilities of models: tables, verdict and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bayesastro.plots import COLORS

__all__ = ["ReliabilityReport"]

MEANINGS = {
    "calibration_error": "frequencies of models are not their probabilities",
    "log_score": "probabilities are too bold or too cautious",
}
"""The checks, and what it means if one fails."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityReport:
    """What :func:`reliability` found.

    Attributes
    ----------
    checks : pandas.DataFrame
        By check: ``value``, ``expected`` if the probabilities are right, ``p`` and ``passed``.
    curve : pandas.DataFrame
        By model and bin of its probability: ``low`` and ``high`` end, ``number`` of data sets, mean ``probability``, and
        ``frequency`` of the model with its 95 % interval ``frequency_low`` and ``frequency_high``.
    scores : dict of str to float
        ``accuracy`` of the most probable model; ``brier``, the mean squared distance of probabilities and truth summed
        over models; ``log_score`` in nats; ``prior_log_score``, what the prior alone has.
    probabilities : pandas.DataFrame
        Data sets by models.
    truth : array of int, shape (dataset,)
        Number of the model that each data set is of.
    level : float
        p-value that a check must exceed.
    num_failed : int
        Simulations that failed, and are left out.
    false_alarm : float
    seed : int
    """

    checks: pd.DataFrame
    curve: pd.DataFrame = field(repr=False)
    scores: Mapping[str, float]
    probabilities: pd.DataFrame = field(repr=False)
    truth: np.ndarray = field(repr=False)
    level: float
    num_failed: int
    false_alarm: float
    seed: int

    @property
    def verdict(self) -> str:
        """``"pass"`` if both checks passed, otherwise ``"fail"``; right probabilities fail at the rate `false_alarm`."""
        return "pass" if bool(self.checks["passed"].all()) else "fail"

    @property
    def calibration_error(self) -> float:
        """Expected calibration error."""
        return float(self.checks.at["calibration_error", "value"])

    def summary(self) -> pd.DataFrame:
        """By model: its frequency, mean probability, calibration error, and how often the most probable model is right."""
        p, number = self.probabilities.to_numpy(), len(self.truth)
        rows = {}
        for i, model in enumerate(self.probabilities.columns):
            bins, is_it = self.curve.loc[model], self.truth == i
            rows[model] = {
                "frequency": is_it.mean(),
                "probability": p[:, i].mean(),
                "calibration_error": float(
                    (bins["number"] * (bins["frequency"] - bins["probability"]).abs()).sum() / number
                ),
                "recognised": float((p[is_it].argmax(1) == i).mean()) if is_it.any() else np.nan,
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def __str__(self) -> str:
        s = self.scores
        lines = [
            f"{self.verdict}: probabilities of {len(self.probabilities.columns)} models for {len(self.truth)} simulations, at "
            f"a false-alarm rate of {self.false_alarm:g} (p ≤ {self.level:.2g} fails)",
            f"accuracy {s['accuracy']:.3f}, Brier score {s['brier']:.3f}, log score {s['log_score']:.3f} (of the prior "
            f"{s['prior_log_score']:.3f}); {self.num_failed} simulations failed",
        ]
        for row in self.checks.reset_index().to_dict("records"):
            text = f"{row['value']:.4f}, expected {row['expected']:.4f}, p = {row['p']:.2g}"
            meaning = "" if row["passed"] else f"; {MEANINGS[row['check']]}"
            lines.append(f"  {'pass' if row['passed'] else 'FAIL'}  {row['check']}: {text}{meaning}")
        return "\n".join(lines)

    def plot(self) -> Figure:
        """Frequencies against probabilities with 95 % intervals, above how often each probability was given."""
        figure, axes = plt.subplots(2, 1, sharex=True, figsize=(5.5, 6.5), height_ratios=(3, 1), layout="constrained")
        axes[0].plot([0, 1], [0, 1], color="0.6", lw=0.8, zorder=0)
        for i, model in enumerate(self.probabilities.columns):
            rows, color = self.curve.loc[model], COLORS[i % len(COLORS)]
            frequency = rows["frequency"].to_numpy()
            error = np.abs(rows[["frequency_low", "frequency_high"]].to_numpy().T - frequency)
            axes[0].errorbar(rows["probability"], frequency, yerr=error, fmt="o", ms=3, lw=1, color=color, label=model)
            values = self.probabilities[model].to_numpy()
            axes[1].hist(values, bins=np.linspace(0, 1, 31).tolist(), histtype="step", color=color)
        axes[0].set(ylabel="frequency (95 % interval)", title=f"{self.verdict}: {len(self.truth)} simulations")
        axes[0].legend(frameon=False, fontsize=8)
        axes[1].set(xlabel="probability of the model", ylabel="data sets", xlim=(-0.02, 1.02))
        return figure
