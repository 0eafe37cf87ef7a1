"""What became of the fits of a calibration: which have draws, which failed and why, and which were not reached."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from bayesastro.tables import Table

__all__ = ["MIN_RANKED", "Outcomes", "going_on"]

MIN_RANKED = 10
"""Independent draws below which a fit counts as failed."""

FITTED, NOT_REACHED = "fitted", "not reached"

NO_START, NOT_FINITE = "no finite start", "draws that are not finite"

TOO_FEW = f"fewer than {MIN_RANKED} effective draws"

MOST_NAMED = 5
"""Simulations of one reason that a report names."""


def going_on(checkpoint: str) -> str:
    """How to go on with a calibration that was stopped; the checkpoint is empty if it has none."""
    if checkpoint:
        return f"The same call goes on from `{checkpoint}`."
    return "Nothing is kept: give `checkpoint` a folder, from which the same call then goes on."


@dataclass(frozen=True)
class Outcomes:
    """What became of each fit.

    Attributes
    ----------
    outcome : array of str, shape (simulation,)
        ``"fitted"``, ``"not reached"``, or why it failed.
    effective_draws : array, shape (simulation,)
        Independent draws that those of a fit are worth; zero where it has none.
    """

    outcome: np.ndarray
    effective_draws: np.ndarray

    @classmethod
    def of_fits(cls, fits: xr.Dataset, effective: np.ndarray) -> "Outcomes":
        """From the group ``fits`` of a result of `fit_many`, and what its draws are worth, whatever that is where a fit failed."""
        failed, started, reached = (fits[name].values for name in ("failed", "started", "reached"))
        effective = np.where(failed, 0.0, effective)
        kinds = [~reached, ~started, failed, ~(effective >= MIN_RANKED)]
        return cls(np.select(kinds, [NOT_REACHED, NO_START, NOT_FINITE, TOO_FEW], FITTED), effective)

    @classmethod
    def of_file(cls, fits: xr.Dataset) -> "Outcomes":
        """As :meth:`to_dataset` has written them."""
        return cls(fits["outcome"].values.astype(str), fits["effective_draws"].values)

    def to_dataset(self) -> xr.Dataset:
        """For a file."""
        arrays = {
            "outcome": self.outcome.astype(object),
            "effective_draws": self.effective_draws,
            "reached": self.reached,
        }
        return xr.Dataset({name: ("dataset", array) for name, array in arrays.items()})

    @property
    def is_fitted(self) -> np.ndarray:
        """Whether each fit has enough draws."""
        return self.outcome == FITTED

    @property
    def reached(self) -> np.ndarray:
        """Whether each fit came to an end before an interruption."""
        return self.outcome != NOT_REACHED

    @property
    def is_failed(self) -> np.ndarray:
        """Whether each fit came to an end without enough draws."""
        return self.reached & ~self.is_fitted

    def reasons(self) -> Mapping[str, np.ndarray]:
        """Why fits failed, and the numbers of the simulations; the most frequent reason first."""
        found = {reason: np.flatnonzero(self.outcome == reason) for reason in (NO_START, NOT_FINITE, TOO_FEW)}
        return {reason: found[reason] for reason in sorted(found, key=lambda r: -len(found[r])) if len(found[reason])}

    def table(self) -> pd.DataFrame:
        """By simulation: what became of its fit, and its effective draws."""
        columns = {"outcome": self.outcome, "effective_draws": self.effective_draws}
        return Table(pd.DataFrame(columns, index=pd.RangeIndex(len(self.outcome), name="simulation")))

    def told(self) -> str:
        """How many of the fits that came to an end failed, why, and which."""
        number, reached = int(self.is_failed.sum()), int(self.reached.sum())
        remedies = {TOO_FEW: ": raise `num_warmup` and `num_draws`"}
        why = "; ".join(f"{why} ({_named(which)}){remedies.get(why, '')}" for why, which in self.reasons().items())
        return f"{number} of {reached} fits failed{f': {why}' if why else ''}"

    def counted(self) -> str:
        """Fits with draws, of how many, and what became of the others."""
        number, failed, left = (int(w.sum()) for w in (self.is_fitted, self.is_failed, ~self.reached))
        others = [f"{n} {what}" for n, what in ((failed, "failed"), (left, NOT_REACHED)) if n]
        return f"{number} of {len(self.outcome)} simulations" + (f" ({', '.join(others)})" if others else "")

    def require(self, least: int, what: str, checkpoint: str) -> None:
        """Raise unless so many fits have draws.

        Parameters
        ----------
        least : int
        what : str
            That needs them, such as "the picture".
        checkpoint : str
            Where an unfinished calibration is kept; empty if nowhere.

        Raises
        ------
        ValueError
        """
        if (number := int(self.is_fitted.sum())) >= least:
            return
        failed = f"; {self.told()}" if self.is_failed.any() else ""
        text = f"{number} of {len(self.outcome)} simulations are fitted, but {what} needs at least {least}{failed}."
        raise ValueError(text if self.reached.all() else f"{text} {going_on(checkpoint)}")


def _named(which: np.ndarray) -> str:
    """Simulations by their numbers, of many the first."""
    told = ", ".join(map(str, which[:MOST_NAMED]))
    if len(which) > MOST_NAMED:
        return f"{len(which)} simulations, {told}, …"
    return f"simulation{'s' if len(which) > 1 else ''} {told}"
