"""`TMNRE`: truncated marginal neural ratio estimation, in rounds about one data set.

Use it where simulations are dear, one data set matters, and of many parameters (nuisances by the thousand) the
marginals of a few are wanted. Every round learns these, and simulates the next within what they leave of the prior.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesastro.banks.bank import Bank
from bayesastro.banks.simulation import simulate
from bayesastro.banks.statistics import labels_of, listed
from bayesastro.hints import told
from bayesastro.inference.engine import require_positive
from bayesastro.inference.neural.marginals import Marginals
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation
from bayesastro.inference.neural.summary_trainer import SummaryTrainer
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["TMNRE"]


@dataclass(frozen=True, kw_only=True)
class TMNRE(SummaryTrainer):
    """Truncated marginal neural ratio estimation.

    Parameters
    ----------
    marginals : sequence of str or of tuple of str
        Parameters, and groups of them, whose marginal posteriors are wanted: names such as ``"mass"``, ``"shape[1]"``, or
        ``("mass", "slope")``. Every parameter that is named also has a marginal of its own, and is truncated; all
        others are drawn from the whole prior.
    num_simulations : int
        In each round.
    max_rounds : int
    epsilon : float
        A parameter's values whose ratio is smaller than this times the largest are cut off.
    min_shrink : float
        Rounds end when what is left is more than this share of what was there.
    num_contrasts, hidden, embeddings, num_features, dropout
        As for :class:`NRE`.
    transforms, num_ensemble, learning_rate, weight_decay, batch_size, max_epochs, patience, validation_fraction, time_limit
        As for :class:`NPE`.

    References
    ----------
    Miller et al. 2021, Truncated Marginal Neural Ratio Estimation, arXiv:2107.01214.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Uniform(-10.0, 10.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([3]).to_event(1))
    >>> problem = ba.Problem(program, observed={"y": np.array([0.2, 0.5, 0.1])})
    >>> settings = ba.TMNRE(marginals=["mean"], num_simulations=500, max_rounds=2, hidden=16, max_epochs=5)
    >>> marginals = settings.train(problem, seed=1, progress=False)
    >>> marginals.draws("mean", 100).shape
    (100, 1)
    """

    marginals: Sequence[str | tuple[str, ...]]
    num_simulations: int = 10_000
    max_rounds: int = 10
    epsilon: float = 1e-4
    min_shrink: float = 0.8
    num_contrasts: int = 10
    hidden: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_simulations", "max_rounds", "num_contrasts")
        self._require_range("epsilon", 1e-12, 0.5)
        self._require_range("min_shrink", 0.01, 1.0)
        if isinstance(self.marginals, str) or not self.marginals:
            raise ValueError(
                f'`TMNRE` needs `marginals` such as ["mass", ("mass", "slope")], but {told(self.marginals)} came.'
            )

    @asks_for("seed")
    def train(
        self, problem: Problem, *, seed: int, path: str | Path | None = None, client: Any = None, progress: bool = True
    ) -> Marginals:
        """Simulate and learn, round after round, about the problem's observed data.

        Parameters
        ----------
        problem : Problem
        seed : int
        path : path, optional
            Folder for the rounds' banks. Those that are there are not simulated again.
        client : dask.distributed.Client, optional
            For the simulations.
        progress : bool

        Returns
        -------
        Marginals

        Raises
        ------
        ValueError
            If a name is no scalar parameter, its prior depends on other latents or is not drawn entry by entry, or
            observed data are missing.
        """
        seed = checked_seed(seed)
        groups = _groups(self.marginals)
        _check_names(problem, groups)
        missing = [s.name for s in problem.views().structure.of_kind("observed") if s.name not in problem.observed]
        if missing:
            raise ValueError(
                f"`TMNRE` learns about one data set, but `{missing[0]}` has no value. Give it `observed=`."
            )
        within: dict[str, Any] = {}
        history: list[dict[str, float]] = []
        while True:
            number = len(history)
            bank = simulate(
                problem,
                self.num_simulations,
                seed=seed + number,
                path=None if path is None else Path(path) / f"round {number}",
                client=client,
                progress=progress,
                within=within,
            )
            trained = replace(self, marginals=groups)._trained(problem, bank, seed + number, progress)
            names = ("networks", "scale")
            values = _values(problem, bank, [name for group in groups for name in group])
            found = Marginals(
                names=groups,
                **{name: trained[name] for name in names},
                observed={name: np.asarray(problem.observed[name]) for name in bank.shapes},
                bank=bank,
                values=values,
                rounds=pd.DataFrame(history),
            )
            bounds, share = _truncated(problem, found, self.epsilon)
            loss = float(np.mean([h.best for h in trained["histories"]]))
            before = history[-1]["share"] if history else 1.0
            history.append({"num_simulations": len(bank), "validation_loss": loss, "share": share * before})
            if share > self.min_shrink or len(history) == self.max_rounds:
                break
            within = bounds
        if share <= self.min_shrink:
            warnings.warn(
                f"`TMNRE` ended after {len(history)} rounds while the prior was still shrinking. Raise `max_rounds`.",
                stacklevel=2,
            )
        return replace(found, rounds=pd.DataFrame(history))

    def _planned(self, problem: Problem, rows: Source) -> tuple[Standardisation, Plan]:
        return self._summarised(
            problem,
            rows,
            kind="marginals",
            num_contrasts=self.num_contrasts,
            marginals=tuple(tuple(rows.labels.index(name) for name in group) for group in _groups(self.marginals)),
        )


def _groups(marginals: Sequence[str | Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """Groups of parameters, each parameter alone first."""
    given = [(group,) if isinstance(group, str) else tuple(group) for group in marginals]
    alone = [(name,) for group in given for name in group]
    return tuple(dict.fromkeys([*alone, *given]))


def _check_names(problem: Problem, groups: Sequence[Sequence[str]]) -> None:
    served = [site for site in problem.parameters if site.free_shape == site.shape]
    known = labels_of((site.name, site.shape) for site in served)
    for name in (name for group in groups for name in group):
        if name not in known:
            raise ValueError(
                f"`TMNRE` has no parameter `{name}`; those with a coordinate each are {listed(known)}. Of a site with "
                "several entries name one, such as `x[0]`."
            )


def _values(problem: Problem, bank: Bank, names: Sequence[str]) -> pd.DataFrame:
    """The named parameters of a bank's rows."""
    theta = bank.parameters(problem, slice(None))
    columns = {}
    for site in problem.parameters:
        labels = labels_of([(site.name, site.shape)])
        columns |= dict(zip(labels, theta[site.name].reshape(len(bank), -1).T, strict=True))
    return pd.DataFrame({name: columns[name] for name in dict.fromkeys(names)})


def _truncated(problem: Problem, found: Marginals, epsilon: float) -> tuple[dict[str, Any], float]:
    """Bounds by site that hold all values of large enough ratio, and the share of the prior that they leave."""
    bounds = {}
    for site in problem.parameters:
        low, high = found.bank.within.get(site.name, (-np.inf, np.inf))
        bounds[site.name] = [np.broadcast_to(np.asarray(b, float), site.shape).copy() for b in (low, high)]
    share, is_fine = 1.0, ~found.bank.is_failed
    for label in found.alone:
        value, log_ratio = found.values[label].to_numpy()[is_fine], found.log_ratios(label)[is_fine]
        kept = value[log_ratio > log_ratio.max() + math.log(epsilon)]
        # To the next values beyond, so that no more is cut off than the ratio says.
        below, above = value[value < kept.min()], value[value > kept.max()]
        name, place = _place(problem, label)
        if below.size:
            bounds[name][0][place] = below.max()
        if above.size:
            bounds[name][1][place] = above.min()
        share *= 1 - (max(below.size - 1, 0) + max(above.size - 1, 0)) / len(value)
    return {n: b for n, b in bounds.items() if np.isfinite(b).any()}, share


def _place(problem: Problem, label: str) -> tuple[str, tuple[int, ...]]:
    """A label's site, and the place in it."""
    for site in problem.parameters:
        labels = labels_of([(site.name, site.shape)])
        if label in labels:
            return site.name, tuple(int(i) for i in np.unravel_index(labels.index(label), site.shape or (1,)))[
                : len(site.shape)
            ]
    raise KeyError(label)
