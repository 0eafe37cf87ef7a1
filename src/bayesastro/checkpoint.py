"""Checkpoints: a folder that a killed run continues from, bit by bit.

The folder holds ``run.json`` (whose run it is), ``rows-000001.npz``, … (rows, each file written once), and
``state.npz`` (the state after the last of them, with their digests). Every file is written beside its place, synced
and moved there in one step; ``state.npz`` comes last. A kill at any moment leaves the state of before or of after.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bayesastro.inference.engine import Rows

__all__ = ["UNFINISHED", "Checkpoint", "write_atomically"]

_FORMAT = "bayesastro checkpoint 1"

UNFINISHED = ".unfinished"
"""Ending of a file that is being written; a kill may leave one behind."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it is either the old one or the new one, whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@dataclass
class Checkpoint:
    """A run's checkpoint folder.

    Parameters
    ----------
    folder : Path
    identity : mapping
        What makes the run: program, data, engine, seed, versions. JSON-serialisable; may hold mappings.
    """

    folder: Path
    identity: Mapping[str, Any]
    _digests: list[str] = field(default_factory=list)

    def open(self) -> tuple[list[np.ndarray], list[Rows]] | None:
        """Claim the folder for this run, or read back what the run left there.

        Returns
        -------
        (leaves of the state, blocks of rows), or None for a new run

        Raises
        ------
        ValueError
            If the folder holds something else, another run's checkpoint, or a damaged one. It is left as it is.
        OSError
            If the folder cannot be made or written to.
        """
        marker = self.folder / "run.json"
        if not self.folder.exists() or all(_is_unfinished(path) for path in self.folder.iterdir()):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(marker, json.dumps({"format": _FORMAT, **self.identity}, indent=1).encode())
            return None
        if not marker.is_file():
            raise ValueError(f"`{self.folder}` is not empty and holds no checkpoint. Give `checkpoint` another folder.")
        self._check_identity(marker)
        if not (self.folder / "state.npz").exists():
            # The first rows may have been written without their state; later ones may not.
            if (self.folder / _rows_name(2)).exists():
                raise ValueError(f"The checkpoint `{self.folder}` is damaged: `state.npz` is missing. {_REMEDY}")
            return None
        return self._read()

    def _check_identity(self, marker: Path) -> None:
        try:
            found = json.loads(marker.read_text())
            is_ours = isinstance(found, dict) and found.get("format") == _FORMAT
        except (OSError, ValueError):
            is_ours = False
        if not is_ours:
            raise ValueError(f"The checkpoint `{self.folder}` is damaged: `run.json` cannot be read. {_REMEDY}")
        wanted = json.loads(json.dumps(self.identity))
        if what := ", ".join(_differences(found, wanted)):
            raise ValueError(
                f"The checkpoint `{self.folder}` belongs to another run: its `run.json` differs in {what}. {_REMEDY}"
            )

    def _read(self) -> tuple[list[np.ndarray], list[Rows]]:
        name = "state.npz"
        try:
            content = (self.folder / name).read_bytes()
            head, body = content[:64], content[64:]
            if hashlib.sha256(body).hexdigest().encode() != head:
                raise ValueError("its checksum differs")
            state = _unpack(body)
            self._digests = [str(d) for d in state.pop("digests")]
            leaves = [state[f"leaf-{i}"] for i in range(len(state))]
            blocks = []
            for number, digest in enumerate(self._digests, 1):
                name = _rows_name(number)
                body = (self.folder / name).read_bytes()
                if hashlib.sha256(body).hexdigest() != digest:
                    raise ValueError("its checksum differs")
                blocks.append(_unpack(body))
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"The checkpoint `{self.folder}` is damaged: `{name}`, {error}. {_REMEDY}") from error
        return leaves, blocks

    def append(self, leaves: list[np.ndarray], rows: Rows) -> None:
        """Add rows, then the state that follows them."""
        if any(len(array) for array in rows.values()):
            body = _pack(rows)
            write_atomically(self.folder / _rows_name(len(self._digests) + 1), body)
            self._digests.append(hashlib.sha256(body).hexdigest())
        state = {f"leaf-{i}": leaf for i, leaf in enumerate(leaves)}
        body = _pack({**state, "digests": np.asarray(self._digests, dtype="U64")})
        write_atomically(self.folder / "state.npz", hashlib.sha256(body).hexdigest().encode() + body)


_REMEDY = "Give `checkpoint` another folder, or delete that one."


def _rows_name(number: int) -> str:
    return f"rows-{number:06d}.npz"


def _is_unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(UNFINISHED)


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """What differs, by name; the entries of a mapping one by one."""
    for key, here in wanted.items():
        there = found.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            yield from _differences(there, here)
        elif here != there:
            yield f"`{key}` ({_short(there)} there, {_short(here)} here)"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "…"


def _pack(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _unpack(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
