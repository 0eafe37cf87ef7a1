"""Emulators in files: arrays, and a description of what holds them."""

import io
import json
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bayesastro.checkpoint import write_atomically
from bayesastro.simulators.emulators import attention, forms
from bayesastro.simulators.emulators.forms import Emulator

__all__ = ["load", "save"]

_FORMAT = "bayesastro emulator 1"

_KINDS = {
    kind.__name__: kind
    for kind in (
        forms.Domain,
        forms.Perceptron,
        forms.PixelNetworks,
        forms.PrincipalComponents,
        attention.AttentionBlock,
        attention.AttentionWeights,
        attention.WavelengthAttention,
    )
}


def save(emulator: Emulator, path: str | Path) -> None:
    """Write an emulator into a file of NumPy arrays (``.npz``), all at once or not at all.

    Raises
    ------
    TypeError
        If it is, or holds, something of another package.
    OSError
    """
    arrays: dict[str, np.ndarray] = {}
    described = _described(emulator, "", arrays)
    content = io.BytesIO()
    text = json.dumps({"format": _FORMAT, "emulator": described})
    np.savez_compressed(content, **arrays, description=np.array(text))  # type: ignore[arg-type]
    write_atomically(Path(path), content.getvalue())


def load(path: str | Path) -> Emulator:
    """An emulator from a file that :func:`save` has written.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        description = json.loads(str(arrays.pop("description")))
    except FileNotFoundError:
        raise
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"`{path}` is no file of an emulator that `bayesastro.emulators.save` has written.") from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise ValueError(f"`{path}` is in another format than {_FORMAT!r}.")
    return _rebuilt(description["emulator"], arrays)


def _described(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """What JSON says of a value; arrays are put aside under their place in it."""
    if type(value).__name__ in _KINDS and isinstance(value, _KINDS[type(value).__name__]):
        names = value._fields if isinstance(value, tuple) else [f.name for f in fields(value)]
        parts = {name: _described(getattr(value, name), f"{place}/{name}", arrays) for name in names}
        return {"kind": type(value).__name__, "parts": parts}
    if isinstance(value, tuple):
        return {"items": [_described(part, f"{place}/{i}", arrays) for i, part in enumerate(value)]}
    if isinstance(value, str | float | int):
        return {"value": value}
    if isinstance(value, np.ndarray | jax.Array):
        arrays[place] = np.asarray(value)
        return {"array": place}
    raise TypeError(f"An emulator with a {type(value).__name__} cannot be saved; these can: {sorted(_KINDS)}.")


def _rebuilt(described: Any, arrays: dict[str, np.ndarray]) -> Any:
    if "kind" in described:
        parts = {name: _rebuilt(part, arrays) for name, part in described["parts"].items()}
        return _KINDS[described["kind"]](**parts)
    if "items" in described:
        return tuple(_rebuilt(part, arrays) for part in described["items"])
    return arrays[described["array"]] if "array" in described else described["value"]
