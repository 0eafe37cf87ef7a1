"""A trained posterior: networks with all that is needed to draw from them and to evaluate them."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from bayesastro.inference.neural.network import Network
from bayesastro.inference.neural.trained import Trained

__all__ = ["Drawn", "NeuralPosterior", "variance_parts"]

EMBEDDED_TOGETHER = 128
"""Data sets of which the summaries are computed in one call."""

ROWS_TOGETHER = 8192
"""Draws made in one call: few enough that a layer's values stay in a core's cache."""

NUM_HELD = 20
"""Networks with units left out, or weights drawn, that stand for the posterior over networks, all members of an ensemble together."""


class Drawn(NamedTuple):
    """Draws for several data sets.

    Attributes
    ----------
    coordinates : array, shape (dataset, draw, coordinate)
        Unconstrained.
    log_prob : array, shape (dataset, draw)
        log q of the coordinates.
    outside : array, shape (dataset,)
        How far a data set lies outside those that were trained on; see :class:`Familiarity`.
    epistemic : array, shape (dataset, coordinate)
        Share of the variance that is between networks; NaN where there is one.
    """

    coordinates: np.ndarray
    log_prob: np.ndarray
    outside: np.ndarray
    epistemic: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuralPosterior(Trained):
    """q(z | x) learnt from a bank; see :class:`Trained`."""

    networks: tuple[Network, ...]

    @functools.cached_property
    def members(self) -> list[tuple[Network, int | None]]:
        """The networks, each with the seeds of what dropout leaves out, or of variational weights."""
        plan = self.networks[0].plan
        if plan.dropout == 0 and not plan.variational:
            return [(network, None) for network in self.networks]
        each = max(1, NUM_HELD // len(self.networks))
        return [(network, seed) for network in self.networks for seed in range(each)]

    def draw(
        self, observed: Mapping[str, np.ndarray], num: int, seeds: Sequence[Any], *, has_density: bool = True
    ) -> Drawn:
        """Draws for each data set.

        Parameters
        ----------
        observed : mapping of str to array, shape (dataset, ...)
        num : int
        seeds : sequence
            For each data set, what `numpy.random.default_rng` takes; its draws depend on it alone.
        has_density : bool
            Whether log q is wanted, which takes as long as the draws and longer; else it is NaN.
        """
        parts = [
            self._drawn({name: values[place] for name, values in observed.items()}, num, seeds[place], has_density)
            for place in _parts(len(seeds), EMBEDDED_TOGETHER)
        ]
        return Drawn(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def evaluate(self, coordinates: np.ndarray, observed: Mapping[str, np.ndarray]) -> np.ndarray:
        """log q of unconstrained coordinates of shape (dataset, draw, coordinate), each given its data set."""
        z = torch.from_numpy(self.scale.coordinates(coordinates))
        parts = []
        for place in _parts(len(z), EMBEDDED_TOGETHER):
            contexts = self._contexts(self.tensors({name: values[place] for name, values in observed.items()}))
            parts.append(self._mixed(z[place], contexts))
        return np.concatenate(parts) + self.scale.log_volume

    def draw_members(self, observed: Mapping[str, np.ndarray], num: int, seeds: Sequence[Any]) -> list[np.ndarray]:
        """Draws for each data set apart by member: unconstrained coordinates of shape (dataset, draw, coordinate).

        Parameters
        ----------
        observed, num, seeds
            As for :meth:`draw`; members share the draws evenly.
        """
        parts = []
        for place in _parts(len(seeds), EMBEDDED_TOGETHER):
            contexts = self._contexts(self.tensors({name: values[place] for name, values in observed.items()}))
            pairs = self._sampled(contexts, num, [np.random.default_rng(seed) for seed in seeds[place]])
            parts.append([self.scale.restored(z.numpy()) for z, _ in pairs])
        return [np.concatenate(member) for member in zip(*parts, strict=True)]

    def _contexts(self, x: Mapping[str, Tensor]) -> list[Tensor]:
        """Summaries by each member."""
        found = []
        with torch.no_grad():
            for network, seed in self.members:
                network.hold(seed)
                found.append(network.context(x))
                network.hold(None)
        return found

    def _drawn(self, observed: Mapping[str, np.ndarray], num: int, seeds: Sequence[Any], has_density: bool) -> Drawn:
        x = self.tensors(observed)
        contexts = self._contexts(x)
        with torch.no_grad():
            first = contexts[0] if self.members[0][1] is None else self.networks[0].context(x)
        generators = [np.random.default_rng(seed) for seed in seeds]
        pairs = self._sampled(contexts, num, generators)
        z, log_prob = torch.cat([z for z, _ in pairs], 1), torch.cat([lp for _, lp in pairs], 1).numpy()
        within, between = variance_parts([part.numpy().astype(float) for part, _ in pairs])
        if len(pairs) > 1:
            # Any part of the draws shall be of all networks.
            order = np.stack([random.permutation(num) for random in generators])
            z = z.gather(1, torch.from_numpy(order)[..., None].expand(z.shape))
            log_prob = self._mixed(z, contexts) if has_density else np.full(z.shape[:2], np.nan)
        return Drawn(
            coordinates=self.scale.restored(z.numpy()),
            log_prob=log_prob + self.scale.log_volume,
            outside=self.familiarity(first.numpy(), x),
            epistemic=between / (between + within),
        )

    def _sampled(
        self, contexts: Sequence[Tensor], num: int, generators: Sequence[np.random.Generator]
    ) -> list[tuple[Tensor, Tensor]]:
        """Standardised draws and their log q by the member that made them; members that have none are left out."""
        size = self.networks[0].density.noise_size
        noise = np.stack([random.standard_normal((num, size), np.float32) for random in generators])
        shares = np.array_split(np.arange(num), len(self.members))
        return [
            _sampled(network, torch.from_numpy(noise[:, share]), context)
            for (network, _), share, context in zip(self.members, shares, contexts, strict=True)
            if len(share)
        ]

    def _mixed(self, z: Tensor, contexts: Sequence[Tensor]) -> np.ndarray:
        """log q of standardised coordinates, all members together."""
        parts = np.stack(
            [_evaluated(network, z, context) for (network, _), context in zip(self.members, contexts, strict=True)]
        )
        return np.asarray(logsumexp(parts, axis=0)) - math.log(len(parts))


def _parts(number: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, number)) for start in range(0, number, size))


def _blocks(num_sets: int, num_draws: int) -> Iterator[tuple[slice, slice]]:
    """Data sets by draws, in blocks of at most `ROWS_TOGETHER` draws."""
    for sets in _parts(num_sets, max(1, ROWS_TOGETHER // max(num_draws, 1))):
        for draws in _parts(num_draws, ROWS_TOGETHER):
            yield sets, draws


def _sampled(network: Network, noise: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    z = torch.empty(*noise.shape[:2], network.plan.size)
    log_prob = torch.empty(noise.shape[:2])

    def one(block: tuple[slice, slice]) -> None:
        with torch.no_grad():
            z[block], log_prob[block] = network.density.sample(noise[block], context[block[0]])

    _over_threads(one, list(_blocks(*noise.shape[:2])))
    return z, log_prob


def _evaluated(network: Network, z: Tensor, context: Tensor) -> np.ndarray:
    log_prob = torch.empty(z.shape[:2])

    def one(block: tuple[slice, slice]) -> None:
        with torch.no_grad():
            log_prob[block] = network.density.log_prob(z[block], context[block[0]])

    _over_threads(one, list(_blocks(*z.shape[:2])))
    return log_prob.numpy()


def _over_threads(work: Callable[[Any], None], blocks: Sequence[Any]) -> None:
    """Do blocks side by side, each on one thread: threads that share an operation wait for each other after each."""
    threads = torch.get_num_threads()
    if min(threads, len(blocks)) < 2:
        for block in blocks:
            work(block)
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, blocks))
    finally:
        torch.set_num_threads(threads)


def variance_parts(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The two terms of the law of total variance: within groups of draws, and between them.

    That between has not what scatter of the draws alone would give. Both are NaN where there is one group.

    Parameters
    ----------
    parts : sequence of array, shape (dataset, draw, ...)
        By group.

    Returns
    -------
    two arrays, shape (dataset, ...)
    """
    if len(parts) < 2 or min(part.shape[1] for part in parts) < 2:
        nothing = np.full((parts[0].shape[0], *parts[0].shape[2:]), np.nan)
        return nothing, nothing
    within = np.mean([part.var(1, ddof=1) for part in parts], axis=0)
    scatter = np.mean([part.var(1, ddof=1) / part.shape[1] for part in parts], axis=0)
    return within, np.maximum(np.var([part.mean(1) for part in parts], axis=0, ddof=1) - scatter, 0.0)
