"""What `fit_many` keeps on disk: finished chunks, and how far the one under way has got.

A chunk under way has a checkpoint of its own, in the folder ``chunk`` within that of the run: the state of all its
data sets after a block, and the rows of all blocks before. It goes when the chunk is finished.
"""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bayesastro import drive
from bayesastro.checkpoint import UNFINISHED, Checkpoint
from bayesastro.inference.engine import Rows
from bayesastro.precision import to_numpy

__all__ = ["KeptChunk", "LaneBlock", "ManyCheckpoint"]

LaneBlock = tuple[np.ndarray, dict[str, np.ndarray]]
"""What a block gave for each data set: how many rows are new, and arrays of shape (data set, row, ...)."""

REST = 20
"""A chunk is next written after so many times the seconds that writing it took: a run spends 5 % on it at most."""


class KeptChunk:
    """A chunk under way, and what it had done when it was last written.

    Parameters
    ----------
    folder : Path
        Made when the chunk is first written.
    identity : mapping
        Of the run.
    numbers : array of int
        The data sets of the chunk.
    size : int
        To how many it is padded.

    Attributes
    ----------
    leaves : list of array, or None
        Of the state that an earlier run left; None if there is none.
    blocks : list of LaneBlock
        Those before that state.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], numbers: np.ndarray, size: int) -> None:
        self.numbers, self.size = numbers, size
        self.leaves: list[np.ndarray] | None = None
        self.blocks: list[LaneBlock] = []
        self._checkpoint = Checkpoint(folder, identity)
        self._is_open = False
        self._due = time.monotonic() + drive.CHECKPOINT_SECONDS

    @classmethod
    def found(cls, folder: Path, identity: Mapping[str, Any]) -> "KeptChunk | None":
        """What an earlier run left in the folder; None if there is nothing to go on from.

        Raises
        ------
        ValueError
            If it is damaged, or another run's.
        """
        chunk = cls(folder, identity, np.zeros(0, int), 0)
        if not folder.exists() or (left := chunk._checkpoint.open()) is None:
            return None
        (chunk.numbers, size, *chunk.leaves), parts = left
        chunk.size, chunk._is_open = int(size), True
        chunk.blocks = [block for part in parts for block in _blocks(part)]
        return chunk

    def is_due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() > self._due

    def write(self, state: Any, blocks: Sequence[LaneBlock]) -> None:
        """Keep the state after the last of the blocks, of which those kept before are not written again."""
        began = time.monotonic()
        if not self._is_open:
            self._checkpoint.open()
            self._is_open = True
        leaves = [self.numbers, np.asarray(self.size), *jax.tree.leaves(to_numpy(state))]
        self._checkpoint.append(leaves, _rows(blocks[len(self.blocks) :]))
        self.blocks = list(blocks)
        ended = time.monotonic()
        self._due = ended + max(drive.CHECKPOINT_SECONDS, REST * (ended - began))


def _rows(blocks: Sequence[LaneBlock]) -> Rows:
    """Blocks in one dict of arrays, by their places."""
    rows = {}
    for i, (counts, arrays) in enumerate(blocks):
        rows |= {f"{i} count": counts, **{f"{i} row {name}": array for name, array in arrays.items()}}
    return rows


def _blocks(rows: Rows) -> list[LaneBlock]:
    """The blocks that `_rows` put together."""
    number = sum(name.endswith(" count") and name.count(" ") == 1 for name in rows)
    heads = [f"{i} row " for i in range(number)]
    return [
        (rows[f"{i} count"], {name.removeprefix(head): a for name, a in rows.items() if name.startswith(head)})
        for i, head in enumerate(heads)
    ]


class ManyCheckpoint:
    """The folder of a run of `fit_many`.

    Parameters
    ----------
    folder : Path
    identity : mapping
        What makes the run; see :class:`bayesastro.checkpoint.Checkpoint`.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self._identity = folder, identity
        self._finished, self._num = Checkpoint(folder, identity), 0
        self._chunk, self._under_way = folder / "chunk", None

    def open(self) -> list[Rows] | None:
        """Claim the folder for this run, or read back the finished chunks; None for a new run.

        Raises
        ------
        ValueError
            If the folder holds something else, another run's checkpoint, or a damaged one. It is left as it is.
        OSError
            If the folder cannot be made or written to.
        """
        found = self._finished.open()
        self._under_way = KeptChunk.found(self._chunk, self._identity)
        if found is None and self._under_way is None:
            return None
        rows = [] if found is None else found[1]
        self._num = len(rows)
        return rows

    def chunk(self, left: np.ndarray, size: int, most: int) -> KeptChunk:
        """The chunk to do next: the one under way, or the first of the data sets left.

        Parameters
        ----------
        left : array of int
            Data sets that are not finished.
        size : int
            Data sets of a new chunk, and the most of one under way; a larger one is given up, for memory may be short.
        most : int
            To how many a chunk is padded at most.
        """
        chunk, self._under_way = self._under_way, None
        if chunk is not None and chunk.size <= size and np.isin(chunk.numbers, left).all():
            return chunk
        self.drop()
        return KeptChunk(self._chunk, self._identity, left[:size], min(size, most))

    def add(self, rows: Rows) -> None:
        """Keep a finished chunk; nothing is under way then."""
        self._num += 1
        self._finished.append([np.asarray(self._num)], rows)
        self.drop()

    def drop(self) -> None:
        """Forget the chunk under way. Its folder is moved aside first: a kill must not leave half of it in its place."""
        aside = self.folder / f".chunk{UNFINISHED}"
        shutil.rmtree(aside, ignore_errors=True)
        if self._chunk.exists():
            os.replace(self._chunk, aside)
            shutil.rmtree(aside)
