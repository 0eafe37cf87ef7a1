"""`information`: how much a summary of the data says of the parameters, from a bank.

The mutual information of coordinates z and summary s is at least that which any density q knows (Barber & Agakov):

    I(z; s) ≥ E[log q(z | s)] − E[log p(z)],

with equality for the posterior q = p(z | s). Here q is a flow trained on a part of the bank, the expectations are means
over the rest, and the prior's density is exact. It is the same for all coordinates of the parameters.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.banks.bank import Bank
from bayesastro.banks.identity import program_identity_of
from bayesastro.hints import told
from bayesastro.inference.neural.learned_views import LearnedViews, with_contexts
from bayesastro.inference.neural.npe import NPE
from bayesastro.inference.neural.posterior import NeuralPosterior
from bayesastro.inference.neural.sources import Rows
from bayesastro.inference.neural.training import History
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem, Views
from bayesastro.program import Data
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["Information", "Summary", "information"]

Summary = str | Sequence[str] | Callable[[Mapping[str, np.ndarray]], Any]

BATCH = 1024

LEAST_HELD = 100
"""Rows to average over, for their scatter to give an error."""

SITE = "summary"
"""The name that what a function returns goes by."""


@dataclass(frozen=True, kw_only=True)
class Information:
    """Mutual information between all parameters and a summary of the data; a lower bound.

    Attributes
    ----------
    nats : float
        Below the truth by what the flow has not learnt, and off by `error`; so that it may be below zero.
    error : float
        Standard error, from the rows held out.
    summary : str
        What it is a summary of.
    num_held_out : int
        Rows that were averaged over.
    histories : tuple of History
        Of the flow's training, by network.
    """

    nats: float
    error: float
    summary: str
    num_held_out: int
    histories: tuple[History, ...] = field(repr=False)

    @property
    def bits(self) -> float:
        """The same to base two."""
        return self.nats / math.log(2)

    def __repr__(self) -> str:
        return (
            f"Information({self.nats:.3f} ± {self.error:.3f} nats, {self.bits:.3f} bits, of the parameters in "
            f"{self.summary}; {self.num_held_out} simulations held out)"
        )


@asks_for("seed")
def information(
    problem: Problem,
    bank: Bank,
    summary: Summary | None = None,
    *,
    seed: int,
    estimator: NPE | None = None,
    test_fraction: float = 0.2,
    progress: bool = True,
) -> Information:
    """Estimate the mutual information between the parameters and a summary of the data.

    Compare summaries by it, or one with all data: the difference is what it loses. All are lower bounds.

    Parameters
    ----------
    problem : Problem
        The bank's program.
    bank : Bank
        Rows drawn from the prior, as :func:`simulate` does; rows given to `Bank.from_arrays` must be likewise.
    summary : str, sequence of str, or callable, optional
        Observed sites by name; or a function from values by observed site, each of shape (row, ...), to an array of
        shape (row,) or (row, k), the same every time. By default all observed sites.
    seed : int
    estimator : NPE, optional
        Settings of the flow and its training; by default ``NPE()``. What a function returns goes by the name
        ``"summary"`` in its `embeddings` and `transforms`.
    test_fraction : float
        Part of the bank that is held out.
    progress : bool

    Returns
    -------
    Information

    Warns
    -----
    UserWarning
        If simulations failed: the information is that given a simulation that does not fail.

    Raises
    ------
    ValueError
        If the bank is of another program or has too few rows, the prior is improper, a name is no observed site, or the
        function returns other shapes or values that are not finite.

    References
    ----------
    Barber & Agakov 2003, The IM algorithm, NeurIPS 16; Sui et al. 2023, arXiv:2307.04994, for summaries in cosmology.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([3]).to_event(1))
    >>> problem = ba.Problem(program, observed={"y": np.zeros(3)})
    >>> bank = ba.simulate(problem, 1000, seed=1, progress=False)
    >>> quick = ba.NPE(flow="affine", max_epochs=10)
    >>> found = ba.information(problem, bank, lambda x: x["y"].mean(1), seed=1, estimator=quick, progress=False)
    >>> bool(abs(found.nats - 0.5 * np.log(1 + 3 / 0.5**2)) < 0.3)
    True
    """
    seed, estimator = checked_seed(seed), NPE() if estimator is None else estimator
    _check(problem, bank, estimator, test_fraction)
    bank.require_whole("information")
    bank.warn_failures()
    rows = _Summarised(bank, summary, _held_out(bank, test_fraction, seed))
    identity = program_identity_of(problem) | {"seed": bank.seed, "within": {}}
    posterior = NeuralPosterior(**estimator.learnt(problem, rows, identity, seed, progress))
    gain = _gains(problem, posterior, rows)
    # Rows that did not fail have the density p(z) P(fine | z)/P(fine), at most p(z)/P(fine).
    nats = gain.mean() + math.log1p(-bank.num_failed / len(bank))
    return Information(
        nats=float(nats),
        error=float(gain.std(ddof=1) / math.sqrt(len(gain))),
        summary=rows.text,
        num_held_out=len(gain),
        histories=posterior.histories,
    )


def _check(problem: Problem, bank: Bank, estimator: NPE, test_fraction: float) -> None:
    """Raise before anything is computed."""
    if not isinstance(problem, Problem) or not isinstance(bank, Bank):
        raise TypeError(f"`information` needs a `Problem` and a `Bank`, but {told(problem)} and {told(bank)} came.")
    if not isinstance(estimator, NPE):
        raise TypeError(f"`estimator` must be an `NPE` with its settings, but {told(estimator)} came.")
    if not 0.01 <= test_fraction <= 0.9:
        raise ValueError(f"`test_fraction` must be from 0.01 to 0.9, but {told(test_fraction)} came.")
    if "proper_prior" in problem.lacks:
        raise ValueError(f"`information` needs a proper prior, but {problem.lacks['proper_prior']}.")
    bank.check(problem)


def _held_out(bank: Bank, test_fraction: float, seed: int) -> np.ndarray:
    """Which rows are to be neither trained on nor validated with; enough of them."""
    found = bank.split(test_fraction, seed=seed + 2**32)[1]  # no seed that training splits the rest by
    if found.sum() < LEAST_HELD:
        raise ValueError(
            f"`information` needs {LEAST_HELD} rows held out, but {test_fraction:g} of the bank is {found.sum()}. "
            "Simulate more."
        )
    return found


def _gains(problem: Problem, posterior: NeuralPosterior, rows: "_Summarised") -> np.ndarray:
    """log q(z | s) − log p(z) of the rows held out."""
    log_prior, parts = _log_prior(problem.views()), []
    for z, x in rows.batches(BATCH, seed=None, among=rows.held_out):
        parts.append(posterior.evaluate(z[:, None], x)[:, 0] - _padded(log_prior, z, problem.data))
    return np.concatenate(parts)


class _Summarised:
    """Rows of a bank with a summary in the place of the data; a :class:`Source`.

    Parameters
    ----------
    bank : Bank
    summary : as for :func:`information`
    held_out : array of bool, shape (row,)
        Rows that are neither trained on nor validated with.
    """

    def __init__(self, bank: Bank, summary: Summary | None, held_out: np.ndarray) -> None:
        self.bank, self.held_out, self.labels = bank, held_out, bank.labels
        self._function = None
        self.shapes: dict[str, tuple[int, ...]]
        if callable(summary):
            self.masks: dict[str, np.ndarray] = {}
            self._function, self.text = summary, "a function of the data"
            _, first = next(bank.batches(2, seed=None))
            self.shapes = {SITE: self._computed(first)[SITE].shape[1:]}
            return
        names = list(bank.shapes) if summary is None else [summary] if isinstance(summary, str) else list(summary)
        if not names or not set(names) <= set(bank.shapes):
            raise ValueError(f"`summary` must name observed sites among {list(bank.shapes)}, but {names} came.")
        self.shapes = {name: bank.shapes[name] for name in names}
        self.masks = {name: mask for name, mask in bank.masks.items() if name in names}
        self.text = "all data" if summary is None else ", ".join(f"`{name}`" for name in names)

    def __len__(self) -> int:
        return len(self.bank)

    @property
    def num_failed(self) -> int:
        return self.bank.num_failed

    def split(self, validation_fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`bayesastro.Bank.split`."""
        training, validation = self.bank.split(validation_fraction, seed=seed)
        return training & ~self.held_out, validation & ~self.held_out

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | Sequence[int] | None,
        among: np.ndarray | None = None,
        drop_last: bool = False,
    ) -> Iterator[Rows]:
        """See :meth:`bayesastro.Bank.batches`."""
        for z, x in self.bank.batches(batch_size, seed=seed, among=among, drop_last=drop_last):
            yield z, self._computed(x)

    def _computed(self, x: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._function is None:
            return {name: x[name] for name in self.shapes}
        number, found = len(next(iter(x.values()))), np.asarray(self._function(x), float)
        if found.ndim not in (1, 2) or len(found) != number:
            raise ValueError(
                f"`summary` must return an array of shape ({number},) or ({number}, k) for {number} rows, but one of "
                f"shape {found.shape} came."
            )
        if not np.isfinite(found).all():
            raise ValueError("`summary` returned values that are not finite. Give one that is finite for all data.")
        return {SITE: found.reshape(number, -1)}


@functools.lru_cache(maxsize=32)
def _log_prior(views: Views) -> Callable[[np.ndarray, Data], jax.Array]:
    """The prior's log-densities at coordinates of shape (row, coordinate); the program need have no likelihood."""
    prior = LearnedViews(
        views.structure, views.prior_factors, views.fisher_rules, log_likelihood=_nothing
    ).unconstrained

    def rows(z: jax.Array, data: Data) -> jax.Array:
        given = with_contexts(data, jnp.zeros(0), jnp.zeros(()))
        return jax.vmap(prior.log_prior, in_axes=(0, None))(z, given)

    return jax.jit(rows)


def _nothing(z: jax.Array, contexts: jax.Array) -> jax.Array:
    return jnp.zeros((), z.dtype)


def _padded(log_prior: Callable[[np.ndarray, Data], jax.Array], z: np.ndarray, data: Data) -> np.ndarray:
    """By rows that are always so many, for one compiled function."""
    with working_precision("double"):
        return to_numpy(log_prior(np.pad(z, [(0, BATCH - len(z)), (0, 0)], mode="edge"), data))[: len(z)]
