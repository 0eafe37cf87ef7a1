"""`NPE`: neural posterior estimation, a conditional density of the parameters given the data, learnt from simulations.

Use it where there are many data sets of one program, where a posterior is wanted within milliseconds, or where the
likelihood cannot be evaluated. Training needs a bank of simulations (:func:`bayesastro.simulate`), and no density.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
import torch

from bayesastro.banks.bank import Bank
from bayesastro.banks.identity import program_identity_of
from bayesastro.inference.engine import Progress, require_positive
from bayesastro.inference.neural.amortised import Amortised
from bayesastro.inference.neural.densities import FLOWS
from bayesastro.inference.neural.embeddings import Embedding
from bayesastro.inference.neural.familiarity import familiarity_of
from bayesastro.inference.neural.network import Network, Plan
from bayesastro.inference.neural.plans import embeddings_for, plan_for
from bayesastro.inference.neural.posterior import NeuralPosterior
from bayesastro.inference.neural.standardise import Standardisation, Transform, standardisation_of
from bayesastro.inference.neural.training import History, Minibatches, Schedule, train
from bayesastro.problem import Problem
from bayesastro.progress import Reporter

__all__ = ["NPE"]

STEPS_PER_EPOCH, LEAST_BATCH, LARGEST_BATCH = 75, 64, 2048
"""What the size of batches is chosen for, and between."""

LEAST_ROWS = 20
"""Of simulations to train on, and of those to validate with a tenth."""


@dataclass(frozen=True, kw_only=True)
class NPE:
    """Neural posterior estimation. It has to be trained; what it is trained to, :class:`Amortised`, is an engine.

    Parameters
    ----------
    flow : {"spline", "affine", "autoregressive", "mixture", "matching"}
        The conditional density: coupling flows of splines or of affine maps, a masked autoregressive flow, a mixture
        of normals, flow matching. Splines are the most flexible of those that draw fast.
    num_transforms : int
        Couplings, or layers; a mixture has twice as many components.
    hidden : int
        Units of the density's layers.
    embeddings : mapping of str to Embedding
        Networks that summarise observed sites, by site; by default `ResNet` for square images and `Dense` for all else.
    transforms : mapping of str to {"none", "asinh", "log"}
        Of observed sites, before they are standardised; for values over many decades.
    num_features : int, optional
        Length of a site's summary; by default 32, or twice the number of coordinates if that is more.
    num_ensemble : int
        Networks that are trained from different starts and splits; they stand for what training does not know. Five
        give better posteriors and a measure of how sure they are.
    dropout : float
        Probability with which a unit of the summaries is left out, in training and (Monte Carlo dropout) in drawing.
    learning_rate : float
    batch_size : int, optional
        By default about 75 batches make an epoch, of 64 to 2048 rows each.
    max_epochs : int
    patience : int
        Epochs without a better validation loss after which training ends; the best epoch is kept.
    validation_fraction : float
    time_limit : float, optional
        Seconds, over all networks.
    num_chains, num_draws : int
        Of the engine.

    References
    ----------
    Greenberg, Nonnenmacher & Macke 2019, arXiv:1905.07488. Splines: Durkan et al. 2019, arXiv:1906.04032. Affine
    couplings: Radev et al. 2020, arXiv:2003.06281. Masked autoregressive: Papamakarios et al. 2017, arXiv:1705.07057.
    Mixtures: Papamakarios & Murray 2016, arXiv:1605.06376. Flow matching: Wildberger et al. 2023, arXiv:2305.17161.
    Ensembles: Hermans et al. 2022, arXiv:2110.06581. Dropout: Gal & Ghahramani 2016, arXiv:1506.02142.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([3]).to_event(1))
    >>> problem = ba.Problem(program, observed={"y": np.array([0.2, 0.5, 0.1])})
    >>> bank = ba.simulate(problem, 500, seed=1, progress=False)
    >>> amortised = ba.NPE(flow="affine", max_epochs=2).train(problem, bank, seed=1, progress=False)
    >>> ba.fit(problem, amortised, seed=1, progress=False)["posterior"]["mean"].shape
    (4, 500)
    """

    flow: Literal["spline", "affine", "autoregressive", "mixture", "matching"] = "spline"
    num_transforms: int = 5
    hidden: int = 64
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    num_features: int | None = None
    num_ensemble: int = 1
    dropout: float = 0.0
    learning_rate: float = 1e-3
    batch_size: int | None = None
    max_epochs: int = 500
    patience: int = 20
    validation_fraction: float = 0.1
    time_limit: float | None = None
    num_chains: int = 4
    num_draws: int = 500

    def __post_init__(self) -> None:
        optional = [name for name in ("num_features", "batch_size") if getattr(self, name) is not None]
        counts = ["num_transforms", "hidden", "num_ensemble", "max_epochs", "patience", "num_chains", "num_draws"]
        require_positive(self, *counts, *optional)
        if self.flow not in FLOWS:
            raise ValueError(f"`NPE` needs `flow` to be one of {list(FLOWS)}, but {self.flow!r} came.")
        for name, low, high in (
            ("dropout", 0.0, 0.9),
            ("validation_fraction", 0.01, 0.5),
            ("learning_rate", 1e-7, 1.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"`NPE` needs `{name}` from {low:g} to {high:g}, but {getattr(self, name)!r} came.")
        if self.time_limit is not None and not self.time_limit > 0:
            raise ValueError(f"`NPE` needs `time_limit` to be positive, but {self.time_limit!r} came.")
        for name, embedding in self.embeddings.items():
            if not isinstance(embedding, Embedding):
                raise TypeError(f"The embedding of `{name}` must be one such as `Dense()`, but {embedding!r} came.")
        for name, transform in self.transforms.items():
            if transform not in ("none", "asinh", "log"):
                raise ValueError(f'The transform of `{name}` must be "none", "asinh" or "log", but {transform!r} came.')

    def train(self, problem: Problem, bank: Bank, *, seed: int, progress: bool = True) -> Amortised:
        """Learn the posterior from a bank.

        Rows are read in bounded memory. On one machine and number of threads, the same seed gives the same weights.
        Ctrl-C ends training with the best epoch so far.

        Parameters
        ----------
        problem : Problem
            The bank's program.
        bank : Bank
        seed : int
        progress : bool

        Returns
        -------
        Amortised

        Warns
        -----
        UserWarning
            If simulations failed, or entries of observed sites are the same in all rows; both are left out.

        Raises
        ------
        ValueError
            If the bank is of another program or argument, has too few rows, a setting names no site, or the loss is
            not finite.
        """
        if not isinstance(problem, Problem) or not isinstance(bank, Bank):
            raise TypeError(f"`NPE.train` needs a `Problem` and a `Bank`, but {problem!r} and {bank!r} came.")
        bank.check(problem)
        bank.warn_failures()
        splits = [bank.split(self.validation_fraction, seed=seed + i) for i in range(self.num_ensemble)]
        for training, validation in splits:
            if training.sum() < LEAST_ROWS or validation.sum() < LEAST_ROWS // 10:
                raise ValueError(
                    f"`NPE` needs {LEAST_ROWS} simulations to train on and {LEAST_ROWS // 10} to validate with, but "
                    f"has {training.sum()} and {validation.sum()} that did not fail. Simulate more."
                )
        embeddings, companions = embeddings_for(bank, problem, self.embeddings, self.transforms)
        shared = {name: embedding.shared for name, embedding in embeddings.items()}
        shared |= {name: (0,) for name in companions.features if name in bank.shapes}
        raw = [name for name in companions.masks if name in bank.shapes]
        scale = standardisation_of(bank, self.transforms, shared, raw)
        plan = plan_for(bank, problem, embeddings, scale, self._architecture(len(bank.labels)))
        with torch.random.fork_rng(devices=[]), closing(Reporter(f"NPE {self.flow}", shown=progress)) as reporter:
            members = self._members(bank, scale, plan, splits, seed, reporter)
            network, history, *rows = next(members)
            networks, histories, familiarity = [network], [history], familiarity_of(network, *rows)
            del rows  # not in memory beside those of the others
            for network, history, *_ in members:
                networks.append(network)
                histories.append(history)
        return Amortised(
            posterior=NeuralPosterior(
                networks=tuple(networks),
                scale=scale,
                familiarity=familiarity,
                identity=program_identity_of(problem) | {"seed": bank.seed},
                labels=list(bank.labels),
                num_simulations=len(bank),
                num_failed=bank.num_failed,
                histories=tuple(histories),
                settings=self._described(),
                seed=seed,
            ),
            num_chains=self.num_chains,
            num_draws=self.num_draws,
        )

    def _members(
        self,
        bank: Bank,
        scale: Standardisation,
        plan: Plan,
        splits: Sequence[tuple[np.ndarray, np.ndarray]],
        seed: int,
        reporter: Reporter,
    ) -> Iterator[tuple[Network, History, Minibatches, Minibatches]]:
        """The trained networks, one for each split, with what they were trained on and validated with."""
        deadline = None if self.time_limit is None else time.monotonic() + self.time_limit
        for i, (training, validation) in enumerate(splits):
            rows, held = Minibatches(bank, scale, training), Minibatches(bank, scale, validation)
            torch.manual_seed(seed + 1_000_003 * i)
            network = Network(plan)
            schedule = self._schedule(rows.number, deadline, self.num_ensemble - i)
            history = train(network, rows, held, schedule, seed=seed + i, report=_report(reporter, i, self))
            yield network, history, rows, held

    def _architecture(self, size: int) -> dict[str, Any]:
        return {
            "flow": self.flow,
            "num_transforms": self.num_transforms,
            "hidden": self.hidden,
            "num_features": self.num_features or max(32, 2 * size),
            "dropout": float(self.dropout),
        }

    def _schedule(self, num_rows: int, deadline: float | None, num_left: int) -> Schedule:
        """Time that is left is shared among the networks that are left."""
        fitting = 2 ** round(np.log2(max(num_rows / STEPS_PER_EPOCH, 1)))
        return Schedule(
            learning_rate=self.learning_rate,
            batch_size=self.batch_size or int(np.clip(fitting, LEAST_BATCH, LARGEST_BATCH)),
            max_epochs=self.max_epochs,
            patience=self.patience,
            time_limit=None if deadline is None else max(deadline - time.monotonic(), 0.0) / num_left,
        )

    def _described(self) -> dict[str, Any]:
        """The settings of training, for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["embeddings"] = {name: embedding.described() for name, embedding in self.embeddings.items()}
        values["transforms"] = dict(self.transforms)
        return {k: v for k, v in values.items() if k not in ("num_chains", "num_draws")}


def _report(reporter: Reporter, number: int, settings: NPE) -> Any:
    """A callback that shows the state after each epoch."""
    of = f" {number + 1}/{settings.num_ensemble}" if settings.num_ensemble > 1 else ""

    def report(epoch: int, history: History) -> None:
        figures = {"validation": history.validation[-1], "best": history.best, "training": history.training[-1]}
        reporter.update(Progress(epoch + 1, settings.max_epochs, f"training{of}", figures))

    return report
