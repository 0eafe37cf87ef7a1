"""What commands print: text, or one JSON document."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesastro.diagnostics import Diagnosis

__all__ = ["as_text", "attributes", "findings", "rows"]


def as_text(document: Mapping[str, Any]) -> str:
    """A document in JSON; numbers that it has no word for, such as NaN, as null."""
    return json.dumps(_plain(document), indent=2, ensure_ascii=False)


def rows(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Rows of a table by their names."""
    return {
        " – ".join(map(str, key)) if isinstance(key, tuple) else str(key): {str(n): value for n, value in row.items()}
        for key, row in table.iterrows()
    }


def findings(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The fields of each finding."""
    return [vars(finding) for finding in diagnosis]


def attributes(result: xr.DataTree) -> dict[str, Any]:
    """Of a result, as plain values."""
    return dict(sorted((str(name), value) for name, value in result.attrs.items()))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
