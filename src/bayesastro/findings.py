"""What a diagnostic check reports: a finding, with its number, threshold and remedy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from bayesastro.result import real_variables

__all__ = ["Finding", "by_entry", "entries", "sample_stats", "worst"]


@dataclass(frozen=True)
class Finding:
    """One thing amiss.

    Attributes
    ----------
    id : str
        Short name of the check.
    where : str
        Parameter, chain or group.
    number, threshold : float
        What was measured, and the value it should not pass.
    text : str
        The finding in words.
    remedy : str
        What to do.
    level : {"warning", "notice"}
        Whether a number in the summary is, or may be, wrong by more than it claims; or whether it is not, and this is to
        be known all the same.
    """

    id: str
    where: str
    number: float
    threshold: float
    text: str
    remedy: str
    level: Literal["warning", "notice"] = "warning"

    def __str__(self) -> str:
        told = "notice: " if self.level == "notice" else ""
        return f"{self.id} [{self.where}]: {told}{self.text}"


def worst(
    id: str, entries: list[tuple[str, float]], threshold: float, sign: int, what: str, remedy: str
) -> list[Finding]:
    """One finding for all the entries past a threshold, at the worst of them."""
    bad = [(name, value) for name, value in entries if not sign * value <= sign * threshold]
    if not bad:
        return []
    where, number = max(bad, key=lambda pair: sign * pair[1] if np.isfinite(pair[1]) else np.inf)
    more = f", and at {len(bad) - 1} more" if len(bad) > 1 else ""
    return [
        Finding(id, where, number, threshold, f"{what} is {number:.4g}, where {threshold:g} is the limit{more}", remedy)
    ]


def sample_stats(result: xr.DataTree) -> xr.Dataset:
    """The engine's figures for each draw; not every engine has any."""
    return result["sample_stats"].to_dataset() if "sample_stats" in result.children else xr.Dataset()


def by_entry(data: xr.Dataset) -> Iterator[tuple[str, float]]:
    """Every scalar of a dataset without sample axes, under the name that a table would give it."""
    for name, variable in data.items():
        for index, value in np.ndenumerate(variable.values):
            yield f"{name}[{', '.join(map(str, index))}]" if index else str(name), float(value)


def entries(result: xr.DataTree, statistic: Callable[[xr.Dataset], xr.Dataset]) -> list[tuple[str, float]]:
    """A statistic of every scalar that is finite and varies; the corner of a Cholesky factor, say, is constant."""
    data = real_variables(result)
    with np.errstate(all="ignore"):
        values = dict(by_entry(statistic(data)))
        spread = dict(by_entry(data.std(["chain", "draw"], skipna=False)))
    return [(name, value) for name, value in values.items() if spread[name] > 0]
