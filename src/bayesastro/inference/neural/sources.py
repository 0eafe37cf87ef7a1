"""Where rows to train on come from: a bank, or something that gives rows as a bank does."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from bayesastro.banks.bank import Bank

__all__ = ["Mixed", "Rows", "Source"]

Rows = tuple[np.ndarray, dict[str, np.ndarray]]
"""Coordinates, shape (row, coordinate), and values by observed site."""

READ_ROWS = 1024
"""Rows of a bank that are read together for a mixture."""


class Source(Protocol):
    """What training asks for; see :class:`bayesastro.Bank`, which is one."""

    labels: list[str]
    shapes: dict[str, tuple[int, ...]]
    masks: dict[str, np.ndarray]

    def __len__(self) -> int: ...

    @property
    def num_failed(self) -> int:
        """Rows that are left out."""
        ...

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | Sequence[int] | None,
        among: np.ndarray | None = None,
        drop_last: bool = False,
    ) -> Iterator[Rows]:
        """Batches of coordinates and observed values."""
        ...

    def split(self, validation_fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows to train on, and which to validate with."""
        ...


class Mixed:
    """Rows of several banks of the same observed sites, with indicators of the bank in the place of coordinates.

    Rows are numbered through all banks. Batches are drawn from all of them in memory that is bounded by a window of
    each.

    Parameters
    ----------
    banks : mapping of str to Bank

    Attributes
    ----------
    fractions : list of float
        Of all rows, those that failed too, the part that each bank has. With the failed ones, for a data set that is
        there has not failed, which speaks for a model that fails seldom.
    """

    def __init__(self, banks: Mapping[str, Bank]) -> None:
        self.banks, self.labels = tuple(banks.values()), list(banks)
        self.shapes, self.masks = self.banks[0].shapes, self.banks[0].masks
        self.edges = np.cumsum([0, *map(len, self.banks)])
        self.fractions = [len(bank) / len(self) for bank in self.banks]

    def __len__(self) -> int:
        return int(self.edges[-1])

    @property
    def num_failed(self) -> int:
        return sum(bank.num_failed for bank in self.banks)

    def split(self, validation_fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`bayesastro.Bank.split`."""
        parts = [bank.split(validation_fraction, seed=seed) for bank in self.banks]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | Sequence[int] | None,
        among: np.ndarray | None = None,
        drop_last: bool = False,
    ) -> Iterator[Rows]:
        """See :meth:`bayesastro.Bank.batches`; without a seed, rows of all banks take turns evenly."""
        usable = [~bank.is_failed for bank in self.banks]
        if among is not None:
            usable = [u & part for u, part in zip(usable, np.split(among, self.edges[1:-1]), strict=True)]
        order = self._order([int(u.sum()) for u in usable], seed)
        feeds = [
            _Feed(
                bank.batches(READ_ROWS, seed=None if seed is None else [*np.ravel(seed).tolist(), i], among=usable[i])
            )
            for i, bank in enumerate(self.banks)
        ]
        stop = len(order) - len(order) % batch_size if drop_last else len(order)
        for start in range(0, stop, batch_size):
            which = order[start : start + batch_size]
            parts = [part for i, feed in enumerate(feeds) for part in feed.take(int((which == i).sum()))]
            place = np.argsort(np.argsort(which, kind="stable"))  # where each row is in the joined parts
            yield (
                np.eye(len(self.banks))[which],
                {name: np.concatenate([part[name] for part in parts])[place] for name in self.shapes},
            )

    def _order(self, numbers: Sequence[int], seed: int | Sequence[int] | None) -> np.ndarray:
        """The bank of each row in turn."""
        which = np.repeat(np.arange(len(numbers), dtype=np.int32), numbers)
        if seed is not None:
            return np.random.default_rng(seed).permutation(which)
        places = np.concatenate([(np.arange(number) + 0.5) / max(number, 1) for number in numbers])
        return which[np.argsort(places, kind="stable")]


class _Feed:
    """Observed values from batches, in pieces of any length."""

    def __init__(self, batches: Iterator[Rows]) -> None:
        self.batches = batches
        self.values: dict[str, np.ndarray] = {}
        self.start = self.stop = 0

    def take(self, number: int) -> Iterator[dict[str, np.ndarray]]:
        """The next rows, in one piece or several."""
        while number > 0:
            if self.start == self.stop:
                coordinates, self.values = next(self.batches)
                self.start, self.stop = 0, len(coordinates)
            end = min(self.start + number, self.stop)
            yield {name: values[self.start : end] for name, values in self.values.items()}
            number -= end - self.start
            self.start = end
