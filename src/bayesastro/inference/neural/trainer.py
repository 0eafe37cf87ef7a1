"""What the methods of neural inference share: settings of training, checks, and the loop over an ensemble."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar, get_args

import numpy as np
import torch

from bayesastro.banks.bank import Bank
from bayesastro.banks.identity import program_identity_of
from bayesastro.hints import told
from bayesastro.inference.engine import Progress, require_positive
from bayesastro.inference.neural.familiarity import familiarity_of
from bayesastro.inference.neural.kinds import network_of
from bayesastro.inference.neural.network import Learner, Plan
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation, Transform
from bayesastro.inference.neural.training import Decay, History, Minibatches, Schedule, train
from bayesastro.problem import Problem
from bayesastro.progress import Reporter
from bayesastro.settings import Settings

__all__ = ["Trainer"]

STEPS_PER_EPOCH, LEAST_BATCH, LARGEST_BATCH = 75, 64, 2048
"""What the size of batches is chosen for, and between."""

CACHE_BYTES = 256 * 2**20

PREPARING_BATCH = 4096
"""Rows that are looked at together before training."""

LEAST_ROWS = 20
"""Of simulations to train on, and of those to validate with a tenth."""


@dataclass(frozen=True, kw_only=True)
class Trainer(Settings, ABC):
    """Settings of training; abstract.

    Class attributes
    ----------------
    unsaved : tuple of str
        Settings that training does not depend on.
    """

    unsaved: ClassVar[tuple[str, ...]] = ()

    transforms: Mapping[str, Transform] = field(default_factory=dict)
    num_ensemble: int = 1
    learning_rate: float = 1e-3
    decay: Decay = "plateau"
    weight_decay: float = 0.1
    batch_size: int | None = None
    max_epochs: int = 500
    patience: int = 20
    validation_fraction: float = 0.1
    time_limit: float | None = None
    cache_bytes: int = CACHE_BYTES

    def __post_init__(self) -> None:
        kind = type(self).__name__
        optional = ["batch_size"] if self.batch_size is not None else []
        require_positive(self, "num_ensemble", "max_epochs", "patience", *optional)
        self._require_range("validation_fraction", 0.01, 0.5)
        self._require_range("learning_rate", 1e-7, 1.0)
        self._require_range("weight_decay", 0.0, 10.0)
        if self.time_limit is not None and not self.time_limit > 0:
            raise ValueError(f"`{kind}` needs `time_limit` to be positive, but {told(self.time_limit)} came.")
        if self.decay not in get_args(Decay):
            raise ValueError(f"`{kind}` needs `decay` to be one of {get_args(Decay)}, but {told(self.decay)} came.")
        if self.cache_bytes < 0:
            raise ValueError(f"`{kind}` needs `cache_bytes` of at least 0, but {told(self.cache_bytes)} came.")
        for name, transform in self.transforms.items():
            if transform not in get_args(Transform):
                raise ValueError(
                    f"The transform of `{name}` must be one of {get_args(Transform)}, but {told(transform)} came."
                )

    def _require_range(self, name: str, low: float, high: float) -> None:
        if not low <= getattr(self, name) <= high:
            raise ValueError(
                f"`{type(self).__name__}` needs `{name}` from {low:g} to {high:g}, but {told(getattr(self, name))} came."
            )

    @abstractmethod
    def _planned(self, problem: Problem, rows: Source) -> tuple[Standardisation, Plan]:
        """How rows are standardised, and what the networks are built from."""

    def _trained(self, problem: Problem, bank: Bank, seed: int, progress: bool) -> dict[str, Any]:
        """What :class:`Trained` is made from."""
        kind = type(self).__name__
        if not isinstance(problem, Problem) or not isinstance(bank, Bank):
            raise TypeError(
                f"`{kind}.train` needs a `Problem` and a `Bank`, but {told(problem)} and {told(bank)} came."
            )
        bank.check(problem)
        bank.warn_failures()
        identity = program_identity_of(problem) | {"seed": bank.seed, "within": bank.within}
        return self.learnt(problem, bank, identity, seed, progress)

    def learnt(
        self, problem: Problem, bank: Source, identity: Mapping[str, Any], seed: int, progress: bool
    ) -> dict[str, Any]:
        """What :class:`Trained` is made from, of rows of any source; `identity` says whose simulations they are.

        Raises
        ------
        ValueError
            If there are too few rows, a setting names no site, or the loss is not finite.
        """
        kind = type(self).__name__
        splits = [bank.split(self.validation_fraction, seed=seed + i) for i in range(self.num_ensemble)]
        for training, validation in splits:
            if training.sum() < LEAST_ROWS or validation.sum() < LEAST_ROWS // 10:
                raise ValueError(
                    f"`{kind}` needs {LEAST_ROWS} simulations to train on and {LEAST_ROWS // 10} to validate with, but "
                    f"has {training.sum()} and {validation.sum()} that did not fail. Simulate more."
                )
        scale, plan = self._planned(problem, bank)
        with torch.random.fork_rng(devices=[]), closing(Reporter(f"{kind} {plan.flow}", shown=progress)) as reporter:
            members = self._members(bank, scale, plan, splits, seed, reporter)
            network, history, *rows = next(members)
            networks, histories, familiarity = [network], [history], familiarity_of(network, *rows)
            del rows  # not in memory beside those of the others
            for network, history, *_ in members:
                networks.append(network)
                histories.append(history)
        return {
            "networks": tuple(networks),
            "scale": scale,
            "familiarity": familiarity,
            "identity": identity,
            "labels": list(bank.labels),
            "num_simulations": len(bank),
            "num_failed": bank.num_failed,
            "histories": tuple(histories),
            "settings": self._described(),
            "seed": seed,
        }

    def _members(
        self,
        bank: Source,
        scale: Standardisation,
        plan: Plan,
        splits: Sequence[tuple[np.ndarray, np.ndarray]],
        seed: int,
        reporter: Reporter,
    ) -> Iterator[tuple[Learner, History, Minibatches, Minibatches]]:
        """The trained networks, one for each split, with what they were trained on and validated with."""
        deadline = None if self.time_limit is None else time.monotonic() + self.time_limit
        for i, (training, validation) in enumerate(splits):
            rows, held = (Minibatches(bank, scale, among, self.cache_bytes) for among in (training, validation))
            torch.manual_seed(seed + 1_000_003 * i)
            network = network_of(plan)
            network.prepare(partial(rows.epoch, PREPARING_BATCH, None))
            schedule = self._schedule(rows.number, deadline, self.num_ensemble - i)
            self._begin(network, rows, seed + i)
            history = train(network, rows, held, schedule, seed=seed + i, report=_report(reporter, i, self))
            yield network, history, rows, held

    def _begin(self, network: Learner, rows: Minibatches, seed: int) -> None:  # most have none
        """What comes before training proper; by default nothing."""

    def _schedule(self, num_rows: int, deadline: float | None, num_left: int) -> Schedule:
        """Time that is left is shared among the networks that are left."""
        fitting = 2 ** round(np.log2(max(num_rows / STEPS_PER_EPOCH, 1)))
        return Schedule(
            learning_rate=self.learning_rate,
            decay=self.decay,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size or int(np.clip(fitting, LEAST_BATCH, LARGEST_BATCH)),
            max_epochs=self.max_epochs,
            patience=self.patience,
            time_limit=None if deadline is None else max(deadline - time.monotonic(), 0.0) / num_left,
        )

    def _described(self) -> dict[str, Any]:
        """The settings of training, for JSON."""
        names = [f.name for f in fields(self) if f.name not in self.unsaved]
        values = {name: getattr(self, name) for name in names} | {"method": type(self).__name__}
        return values | {"transforms": dict(self.transforms)}


def _report(reporter: Reporter, number: int, settings: Trainer) -> Any:
    """A callback that shows the state after each epoch."""
    of = f" {number + 1}/{settings.num_ensemble}" if settings.num_ensemble > 1 else ""

    def report(epoch: int, history: History) -> None:
        figures = {"validation": history.validation[-1], "best": history.best, "training": history.training[-1]}
        reporter.update(Progress(epoch + 1, settings.max_epochs, f"training{of}", figures, "epoch"))

    return report
