"""Training: minibatches from a bank in bounded memory, early stopping, and the best epoch's weights."""

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bayesastro.inference.neural.network import Learner
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation

__all__ = ["Decay", "History", "Minibatches", "Schedule", "rates", "regress", "train"]

VALIDATION_BATCH = 1024

MAX_GRADIENT = 5.0
"""Norm to which gradients are shortened."""

LOWER_RATE, RATE_PATIENCE = 0.5, 3
"""The learning rate falls by this factor whenever the validation loss has not improved for a third of `patience`."""

AVERAGING_EPOCHS = 1.0
"""Timescale, in epochs, of the running average of weights that is validated and kept."""

WARM_UP = 0.05
"""Part of the steps in which the learning rate rises, before it falls along a cosine."""

Rows = tuple[Tensor, dict[str, Tensor]]

Decay = Literal["plateau", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How to train; see :class:`NPE`."""

    learning_rate: float
    decay: Decay
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    time_limit: float | None


@dataclass(kw_only=True)
class History:
    """Losses by epoch, and which was the best.

    Attributes
    ----------
    training, validation : list of float
        Mean loss of an epoch's batches while it ran, and of the validation rows after it.
    best_epoch : int
        Counted from 0.
    ended : str
        ``"patience"``, ``"max_epochs"``, ``"time limit"`` or ``"interrupted"``.
    seconds : float
    """

    training: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = -1
    ended: str = "max_epochs"
    seconds: float = 0.0

    @property
    def best(self) -> float:
        """The validation loss of the best epoch."""
        return self.validation[self.best_epoch]


class Minibatches:
    """Standardised rows of a bank in batches; kept in memory if they are few enough.

    Parameters
    ----------
    bank : Source
    scale : Standardisation
    among : array of bool
        Which rows.
    cache_bytes : int
        Rows that need no more are kept in memory.
    """

    def __init__(self, bank: Source, scale: Standardisation, among: np.ndarray, cache_bytes: int) -> None:
        self.bank, self.scale, self.among = bank, scale, among
        self.number = int(among.sum())
        row = len(bank.labels) + sum(math.prod(shape) for shape in bank.shapes.values())
        self._cached: Rows | None = None
        if 4 * row * self.number <= cache_bytes:
            parts = list(self._streamed(VALIDATION_BATCH, None))
            z = torch.cat([part[0] for part in parts])
            self._cached = z, {name: torch.cat([part[1][name] for part in parts]) for name in parts[0][1]}

    def epoch(self, batch_size: int, seed: tuple[int, ...] | None) -> Iterator[Rows]:
        """Batches of all rows, in the bank's order without a seed. With one, a smaller last batch is left out."""
        if self._cached is None:
            yield from self._streamed(batch_size, seed)
            return
        z, x = self._cached
        order = torch.arange(self.number)
        if seed is not None:
            order = torch.from_numpy(np.random.default_rng(seed).permutation(self.number))
        stop = self.number - self.number % batch_size if seed is not None else self.number
        for start in range(0, stop, batch_size):
            chosen = order[start : start + batch_size]
            yield z[chosen], {name: values[chosen] for name, values in x.items()}

    def _streamed(self, batch_size: int, seed: tuple[int, ...] | None) -> Iterator[Rows]:
        batches = self.bank.batches(batch_size, seed=seed, among=self.among, drop_last=seed is not None)
        for z, x in batches:
            standard = {name: torch.from_numpy(values) for name, values in self.scale.observed(x).items()}
            yield torch.from_numpy(self.scale.coordinates(z)), standard


def regress(network: Learner, rows: Minibatches, schedule: Schedule, *, seed: int) -> None:
    """Train what the network makes of observed sites, in place, so that the mean of each coordinate is linear in it.

    In the likelihood of narrow posteriors the few coordinates that data determine best drown all others; squared errors in
    units of the prior weigh each alike. The learning rate falls along a cosine over all of `schedule.max_epochs`.
    """
    batch_size = min(schedule.batch_size, rows.number)
    z, x = next(rows.epoch(batch_size, (seed, 0)))
    with torch.no_grad():
        linear = nn.Linear(network.context(x).shape[1], z.shape[1])
    parameters = [*network.parameters(), *linear.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True)
    after_step, _ = rates(optimiser, schedule, schedule.max_epochs * (rows.number // batch_size))
    network.train()
    for epoch in range(schedule.max_epochs):
        for z, x in rows.epoch(batch_size, (seed, epoch)):
            optimiser.zero_grad(set_to_none=True)
            nn.functional.mse_loss(linear(network.context(x)), z).backward()
            torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT)
            optimiser.step()
            after_step()


def train(
    network: Learner,
    rows: Minibatches,
    validation: Minibatches,
    schedule: Schedule,
    *,
    seed: int,
    report: Callable[[int, History], None],
) -> History:
    """Train a network in place; it ends with the weights of its best epoch.

    The running average of the weights is what is validated and kept: it evens out the noise of the last steps.
    Ctrl-C ends the training with the best epoch so far, and a warning.

    Raises
    ------
    ValueError
        If a loss is not finite.
    """
    began, history = time.monotonic(), History()
    batch_size = min(schedule.batch_size, rows.number)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )
    after_step, after_epoch = rates(optimiser, schedule, schedule.max_epochs * (rows.number // batch_size))
    averaged, best = copy.deepcopy(network), copy.deepcopy(network.state_dict())
    keep = math.exp(-1 / max(1.0, AVERAGING_EPOCHS * (rows.number // batch_size)))
    try:
        for epoch in range(schedule.max_epochs):
            batches = rows.epoch(batch_size, (seed, epoch))
            loss = _epoch(network, averaged, optimiser, after_step, batches, keep if epoch else 0.0, rows.number)
            history.training.append(loss)
            history.validation.append(validation_loss(averaged, validation, seed))
            after_epoch(history.validation[-1])
            if epoch == 0 or history.validation[-1] < history.best:
                history.best_epoch, best = epoch, copy.deepcopy(averaged.state_dict())
            report(epoch, history)
            if epoch - history.best_epoch >= schedule.patience:
                history.ended = "patience"
                break
            if schedule.time_limit is not None and time.monotonic() - began > schedule.time_limit:
                history.ended = "time limit"
                break
    except KeyboardInterrupt:
        if history.best_epoch < 0:
            raise
        history.ended = "interrupted"
        warnings.warn(f"Training was interrupted; epoch {history.best_epoch} was the best so far.", stacklevel=2)
    network.load_state_dict(best)
    network.eval()
    history.seconds = time.monotonic() - began
    return history


def rates(
    optimiser: torch.optim.Optimizer, schedule: Schedule, num_steps: int
) -> tuple[Callable[[], None], Callable[[float], None]]:
    """What changes the learning rate: after each step, and after each epoch with its validation loss."""
    if schedule.decay == "plateau":
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, factor=LOWER_RATE, patience=max(1, schedule.patience // RATE_PATIENCE)
        )
        return lambda: None, plateau.step

    def factor(step: int) -> float:
        done = min((step + 1) / num_steps, 1.0)
        return min(done / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * max(done - WARM_UP, 0.0) / (1 - WARM_UP)))

    cosine = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return cosine.step, lambda loss: None


def _epoch(
    network: Learner,
    averaged: Learner,
    optimiser: torch.optim.Optimizer,
    after_step: Callable[[], None],
    batches: Iterator[Rows],
    keep: float,
    num_rows: int,
) -> float:
    """One pass over the rows; the mean loss."""
    network.train()
    total, number = 0.0, 0
    for z, x in batches:
        optimiser.zero_grad(set_to_none=True)
        loss = network.loss(z, x).mean()
        divergence = network.divergence()
        if divergence is not None:
            loss = loss + divergence / num_rows
        if not torch.isfinite(loss):
            raise ValueError(
                "The training loss is not finite. Lower `learning_rate`, transform sites of many decades "
                '(`transforms={"site": "asinh"}`), or look for extreme values in the bank.'
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT)
        optimiser.step()
        after_step()
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged.parameters()), list(network.parameters()), 1 - keep)
        total, number = total + loss.item() * len(z), number + len(z)
    for kept_one, now in zip(averaged.buffers(), network.buffers(), strict=True):
        kept_one.copy_(now)
    return total / max(number, 1)


def validation_loss(network: Learner, rows: Minibatches, seed: int) -> float:
    """Mean loss over rows; what it draws at random is the same every time."""
    network.eval()
    total, number = 0.0, 0
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for z, x in rows.epoch(VALIDATION_BATCH, None):
            total, number = total + network.loss(z, x).sum().item(), number + len(z)
    if not math.isfinite(total):
        raise ValueError("The validation loss is not finite. Lower `learning_rate`, or transform the observed sites.")
    return total / number
