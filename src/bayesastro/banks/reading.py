"""Reading a bank in bounded memory: rows by number, and shuffled batches from windows of chunks."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from bayesastro.banks.store import Header
from bayesastro.hints import told

__all__ = ["Arrays", "Index", "Reader"]

WINDOW_BYTES = 64 * 2**20
"""Of rows read together. Shuffled batches are drawn from within a window of chunks that lie anywhere in the bank."""

Index = slice | np.ndarray | Sequence[int]

Arrays = tuple[np.ndarray, dict[str, np.ndarray]]
"""Coordinates, shape (row, coordinate), and values by observed site, shape (row, ...)."""


class Reader:
    """Reads the first rows of a bank.

    Parameters
    ----------
    group : zarr.Group
    header : Header
    path : Path or None
        For messages.
    num : int or None
        Rows to be read at most; None for all that are complete.
    """

    def __init__(self, group: zarr.Group, header: Header, path: Path | None, num: int | None) -> None:
        self._header, self._path = header, path
        self._coordinates: Any = group["coordinates"]
        self._is_failed: Any = group["is_failed"]
        self._observed: dict[str, Any] = {site: group[name] for site, name in header.observed.items()}
        self.num_rows = header.num_rows if num is None else min(num, header.num_rows)
        self.shapes: dict[str, tuple[int, ...]] = {n: tuple(a.shape[1:]) for n, a in self._observed.items()}
        self.masks = {site: self._read(group[name], slice(None)) for site, name in header.masks.items()}

    def rows(self, place: slice | np.ndarray) -> Arrays:
        """Coordinates and observed values at a place."""
        return self.coordinates(place), {n: self._read(array, place) for n, array in self._observed.items()}

    def coordinates(self, place: slice | np.ndarray) -> np.ndarray:
        """Coordinates at a place."""
        return self._read(self._coordinates, place)

    def is_failed(self) -> np.ndarray:
        """Whether each row is of a simulation that failed."""
        return self._read(self._is_failed, slice(0, self.num_rows))

    def batches(
        self, size: int, random: np.random.Generator | None, usable: np.ndarray, drop_last: bool
    ) -> Iterator[Arrays]:
        """See :meth:`bayesastro.Bank.batches`."""
        left: Arrays | None = None
        for window in self.windows(random):
            coordinates, observed = self.joined(window, usable, left)
            number = len(coordinates)
            order = np.arange(number) if random is None else random.permutation(number)
            stop = number - number % size
            for start in range(0, stop, size):
                chosen = order[start : start + size]
                yield coordinates[chosen], {name: values[chosen] for name, values in observed.items()}
            left = coordinates[order[stop:]], {name: values[order[stop:]] for name, values in observed.items()}
        if left is not None and len(left[0]) and not drop_last:
            yield left

    def place(self, index: Index) -> slice | np.ndarray:
        """A slice, or row numbers, within the bank."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self.num_rows)
            return slice(start, max(start, stop)) if step == 1 else np.arange(start, stop, step)
        numbers = np.asarray(index)
        if numbers.dtype == bool and numbers.shape == (self.num_rows,):
            return np.flatnonzero(numbers)
        if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
            raise IndexError(f"Rows are given as a slice, row numbers or one bool a row, but {told(index)} came.")
        if len(numbers) and not (-self.num_rows <= numbers.min() and numbers.max() < self.num_rows):
            raise IndexError(
                f"The bank has {self.num_rows} rows, but row {numbers[np.abs(numbers).argmax()]} was asked for."
            )
        return numbers % max(self.num_rows, 1)

    def windows(self, random: np.random.Generator | None) -> Iterator[list[slice]]:
        """Places that are read together: whole chunks, in the order of the bank or in a random one."""
        arrays = [self._coordinates, self._is_failed, *self._observed.values()]
        chunk = self._header.chunk
        row_bytes = sum(array.dtype.itemsize * math.prod(array.shape[1:]) for array in arrays)
        together = max(1, WINDOW_BYTES // (chunk * row_bytes))
        numbers = np.arange(-(-self.num_rows // chunk))
        if random is not None:
            random.shuffle(numbers)
        for start in range(0, len(numbers), together):
            chosen = numbers[start : start + together] * chunk
            yield [slice(int(first), min(int(first) + chunk, self.num_rows)) for first in chosen]

    def joined(self, window: Sequence[slice], usable: np.ndarray, left: Arrays | None = None) -> Arrays:
        """What is left of a window before, and the usable rows of this one."""
        parts = [] if left is None else [left]
        for place in window:
            kept = usable[place]
            coordinates, observed = self.rows(place)
            parts.append((coordinates[kept], {name: values[kept] for name, values in observed.items()}))
        joined = {name: np.concatenate([part[1][name] for part in parts]) for name in self._observed}
        return np.concatenate([part[0] for part in parts]), joined

    def _read(self, array: Any, place: slice | np.ndarray) -> np.ndarray:
        try:
            return np.asarray(array[place] if isinstance(place, slice) else array.oindex[place])
        except (OSError, ValueError, RuntimeError) as error:  # zarr's, for chunks cut short or with a wrong checksum
            raise ValueError(f"The bank `{self._path}` is damaged, in `{array.path}`: {error}.") from error
