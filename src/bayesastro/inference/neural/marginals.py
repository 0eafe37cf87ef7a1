"""`Marginals`: marginal posteriors of chosen parameters near one data set, and their coverage there."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from scipy.stats import binomtest

from bayesastro.banks.bank import Bank
from bayesastro.banks.simulation import simulate
from bayesastro.inference.importance import resampled
from bayesastro.inference.neural.marginal_ratios import MarginalRatios
from bayesastro.inference.neural.standardise import Standardisation
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["Marginals"]

LEVELS = (0.5, 0.68, 0.9, 0.95)

SETS_TOGETHER = 16
"""Data sets whose ratios at all points are evaluated together."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Marginals:
    """Marginal posteriors, as weights on draws from the truncated prior; made by :meth:`TMNRE.train`.

    There are no joint draws of parameters that are not in one marginal: none were learnt.

    Parameters
    ----------
    names : tuple of tuple of str
        The parameters of each marginal.
    networks : tuple of MarginalRatios
    scale : Standardisation
    observed : mapping of str to array
        The data set.
    bank : Bank
        Of the last round: draws from the truncated prior.
    values : DataFrame
        The parameters of the bank's rows.
    rounds : DataFrame
        By round: simulations, validation loss, and the share of the prior's mass that was left for the next.
    """

    names: tuple[tuple[str, ...], ...]
    networks: tuple[MarginalRatios, ...]
    scale: Standardisation
    observed: Mapping[str, np.ndarray]
    bank: Bank
    values: pd.DataFrame
    rounds: pd.DataFrame

    def __repr__(self) -> str:
        marginals = ", ".join("×".join(group) for group in self.names)
        share = self.rounds["share"].iloc[-1]
        return f"Marginals({marginals}; {len(self.rounds)} rounds, to {100 * share:.2g} % of the prior)"

    @property
    def alone(self) -> list[str]:
        """The parameters, each with a marginal of its own."""
        return list(dict.fromkeys(name for group in self.names for name in group))

    @functools.cached_property
    def _coordinates(self) -> torch.Tensor:
        z, _ = self.bank.rows(slice(None))
        return torch.from_numpy(self.scale.coordinates(z))

    def log_ratios(self, group: str | Sequence[str], observed: Mapping[str, Any] | None = None) -> np.ndarray:
        """log p(θ_m | x)/p(θ_m) at the bank's draws.

        Parameters
        ----------
        group : str or sequence of str
            The parameters of a marginal.
        observed : mapping of str to array, shape (dataset, ...), optional
            Other data sets, whose posteriors lie within the truncated prior.

        Returns
        -------
        array, shape (row,), or (dataset, row)
        """
        number = self._number(group)
        given = {name: np.asarray(v)[None] for name, v in self.observed.items()} if observed is None else observed
        found = self._log_ratios(number, given, self._coordinates)
        return found[0] if observed is None else found

    def _number(self, group: str | Sequence[str]) -> int:
        wanted = (group,) if isinstance(group, str) else tuple(group)
        if wanted not in self.names:
            raise ValueError(
                f"There is no marginal of {wanted}; there are {list(self.names)}. Name it in `marginals=`."
            )
        return self.names.index(wanted)

    def _log_ratios(self, number: int, observed: Mapping[str, Any], z: torch.Tensor) -> np.ndarray:
        """For coordinates of shape (row, coordinate), the same for all data sets."""
        x = {name: torch.from_numpy(values) for name, values in self.scale.observed(observed).items()}
        parts, size = [], len(next(iter(x.values())))
        with torch.no_grad():
            for start in range(0, size, SETS_TOGETHER):
                place = slice(start, start + SETS_TOGETHER)
                some = {name: values[place] for name, values in x.items()}
                each = []
                for network in self.networks:
                    context = network.context(some)
                    chosen = z[:, network.marginals[number]]
                    each.append(network.log_ratio(number, chosen.expand(len(context), *chosen.shape), context))
                parts.append(torch.stack(each).double().logsumexp(0).numpy() - math.log(len(each)))
        return np.concatenate(parts)

    def weights(self, group: str | Sequence[str]) -> np.ndarray:
        """Of the rows of `values`, for a marginal; they sum to one."""
        log_ratio = self.log_ratios(group)
        weight = np.where(self.bank.is_failed, 0.0, np.exp(log_ratio - log_ratio.max()))
        return weight / weight.sum()

    def draws(self, group: str | Sequence[str], num: int = 4000, *, seed: int = 0) -> pd.DataFrame:
        """Draws of equal weight of a marginal, with repetitions where the bank has few rows."""
        columns = [group] if isinstance(group, str) else list(group)
        chosen = resampled(self.weights(group), num, np.random.default_rng(seed))
        return self.values[columns].iloc[chosen].reset_index(drop=True)

    def summary(self) -> pd.DataFrame:
        """Mean, standard deviation, central 68 % interval and effective number of draws of each parameter alone."""
        rows = {}
        for name in self.alone:
            weight, value = self.weights(name), self.values[name].to_numpy()
            order = np.argsort(value)
            below = np.cumsum(weight[order])
            low, high = (value[order][np.searchsorted(below, level)] for level in (0.16, 0.84))
            mean = weight @ value
            sd = math.sqrt(weight @ (value - mean) ** 2)
            rows[name] = {"mean": mean, "sd": sd, "eti68_lb": low, "eti68_ub": high, "ess": 1 / (weight**2).sum()}
        return pd.DataFrame(rows).T

    def to_dataset(self) -> xr.Dataset:
        """Values of the truncated prior's draws, and their weights by marginal."""
        data = {name: ("draw", self.values[name].to_numpy()) for name in self.values}
        weights = {f"weight {' × '.join(group)}": ("draw", self.weights(group)) for group in self.names}
        return xr.Dataset({**data, **weights}, attrs={"within": str(self.bank.within)})

    @asks_for("seed")
    def coverage(self, problem: Problem, num: int = 300, *, seed: int, false_alarm: float = 0.01) -> pd.DataFrame:
        """How often regions of highest ratio hold the truth, over new data sets from the truncated prior.

        The networks serve all data sets from there, so that they can be tested. Where the prior is flat, regions of
        highest ratio are those of highest density.

        Parameters
        ----------
        problem : Problem
            The one that was trained for.
        num : int
            Data sets.
        seed : int
        false_alarm : float
            For all entries together (Bonferroni).

        Returns
        -------
        DataFrame
            By marginal and level: ``found``, the interval ``low`` to ``high`` in which the true coverage lies (Clopper &
            Pearson 1934), and whether the level is among it, ``passed``.
        """
        seed = checked_seed(seed)
        self.bank.check(problem)
        fresh = simulate(problem, num, seed=seed, within=self.bank.within, progress=False)
        rows, others = np.flatnonzero(~fresh.is_failed), np.flatnonzero(~self.bank.is_failed)
        truths, observed = fresh.rows(rows)
        z = torch.cat([self._coordinates[others], torch.from_numpy(self.scale.coordinates(truths))])
        confidence, table = 1 - false_alarm / (len(self.names) * len(LEVELS)), []
        for number, group in enumerate(self.names):
            found = self._log_ratios(number, observed, z)
            found, own = found[:, : len(others)], np.diagonal(found[:, len(others) :])
            weight = np.exp(found - found.max(1, keepdims=True))
            mass = (weight * (found > own[:, None])).sum(1) / weight.sum(1)
            for level in LEVELS:
                k, n = int((mass < level).sum()), len(rows)
                low, high = binomtest(k, n).proportion_ci(confidence)
                entry = {"marginal": " × ".join(group), "level": level, "found": k / n, "low": low, "high": high}
                table.append(entry | {"passed": bool(low <= level <= high)})
        return pd.DataFrame(table).set_index(["marginal", "level"])

    def plot(self) -> Any:
        """The marginals: histograms of single parameters, and images of pairs; a matplotlib figure."""
        import matplotlib.pyplot as plt  # which takes long to load

        shown = [group for group in self.names if len(group) in (1, 2)]
        figure, axes = plt.subplots(1, len(shown), figsize=(3.2 * len(shown), 2.8), squeeze=False, layout="constrained")
        for axis, group in zip(axes[0], shown, strict=True):
            columns, weight = [self.values[name].to_numpy() for name in group], self.weights(group)
            bins = int(np.clip(math.sqrt(1 / (weight**2).sum()), 10, 60 if len(columns) == 1 else 30))
            if len(columns) == 1:
                axis.hist(columns[0], bins, weights=weight, density=True, histtype="stepfilled", alpha=0.6)
                axis.set(xlabel=group[0], yticks=[])
            else:
                axis.hist2d(*columns, bins, weights=weight, cmap="Blues")
                axis.set(xlabel=group[0], ylabel=group[-1])
        return figure
