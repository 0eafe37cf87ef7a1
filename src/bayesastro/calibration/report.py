"""The report of a calibration: tables, verdict, pictures, and its way into a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from bayesastro.batch import Batch
from bayesastro.calibration.checks import MIN_FITS, Assessment, Pool, lines_of
from bayesastro.calibration.coverage import LEVELS, binned_coverage
from bayesastro.calibration.members import FEATURES, MAX_RANKED, evaluated
from bayesastro.calibration.misspecification import Plausibility, plausibility
from bayesastro.calibration.outcomes import Outcomes, going_on
from bayesastro.calibration.page import Page
from bayesastro.calibration.recalibration import MIN_SIMULATIONS, Recalibration, recalibrate
from bayesastro.predictive import evenly, latent_draws
from bayesastro.problem import Problem
from bayesastro.tables import Table

__all__ = ["TABLE", "CalibrationReport"]

TABLE = "`report.fits` is the table"
"""Of what became of the fits, where some failed."""

PLACES = {"prior": "from the prior", "observed": "near the observed data"}


@dataclass(frozen=True, kw_only=True)
class CalibrationReport:
    """What :func:`calibrate` found.

    Attributes
    ----------
    assessment : Assessment
        Tables of the checks.
    pool : Pool
        Truths and draws.
    batch : Batch
        The simulated data sets.
    features : array, shape (simulation, feature)
        Of the residuals of each fit.
    outcomes : Outcomes
        What became of each fit; :attr:`fits` is the table of it.
    near : str
        ``"prior"`` or ``"observed"``: where the simulations come from.
    false_alarm : float
    attributes : dict
        Engine, settings, seed, numbers, checkpoint, ``calls`` (how many went on from one another) and the ``seconds`` of all of
        them, and the status: ``"complete"``, ``"interrupted"`` or ``"time limit reached"``.
    """

    assessment: Assessment
    pool: Pool = field(repr=False)
    batch: Batch = field(repr=False)
    features: np.ndarray = field(repr=False)
    outcomes: Outcomes = field(repr=False)
    near: str
    false_alarm: float
    attributes: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """``"pass"`` if every check passed, otherwise ``"fail"``; a right posterior fails at the rate `false_alarm`.

        ``"incomplete"`` if it was stopped before all simulations were fitted, whatever the checks say of the others.
        """
        if not self.reached.all():
            return "incomplete"
        return "pass" if bool(self.checks["passed"].all()) else "fail"

    @property
    def checks(self) -> pd.DataFrame:
        """By check: its p-value, whether it passed, and the quantity furthest off."""
        return self.assessment.checks

    @property
    def coverage(self) -> pd.DataFrame:
        """By quantity and level: coverage with its 95 % interval, and its bounds by the fits that failed."""
        return self.assessment.coverage

    @property
    def fits(self) -> pd.DataFrame:
        """By simulation: the ``outcome`` of its fit ("fitted", "not reached", or why it failed), and its ``effective_draws``.

        The data of simulation 17 are those of the problem ``batch[17]``.
        """
        return self.outcomes.table()

    @property
    def num_failed(self) -> int:
        """Fits without enough draws, among those that came to an end."""
        return self.pool.num_failed

    @property
    def effective_draws(self) -> np.ndarray:
        """By simulation: independent draws that those of its fit are worth; zero where it has none."""
        return self.outcomes.effective_draws

    @property
    def reached(self) -> np.ndarray:
        """By simulation: whether its fit came to an end before an interruption."""
        return self.outcomes.reached

    def summary(self) -> pd.DataFrame:
        """By parameter: bias in posterior sds with its error, spread, shrinkage, and coverage at each level."""
        table = self.assessment.parameters
        if not len(table):
            return table
        covered = {
            f"coverage_{100 * level:.0f}": [self.coverage.at[(label, level), "coverage"] for label in table.index]
            for level in LEVELS
        }
        return Table(table.join(pd.DataFrame(covered, index=table.index)))

    def coverage_by(self, values: np.ndarray, edges: Sequence[float]) -> pd.DataFrame:
        """Coverage of the parameters' central regions in bins of a number, such as the signal-to-noise ratio of the data.

        Parameters
        ----------
        values : array, shape (simulation,)
            For each of the simulations, as the observed values of ``batch`` have them.
        edges : sequence of float
            Rising, those of the bins; what is outside is left out.

        Returns
        -------
        pandas.DataFrame
            See :func:`bayesastro.calibration.coverage.binned_coverage`.

        Raises
        ------
        ValueError
            If there is not one number for each simulation, edges do not rise, a bin has no simulation, or too few fits
            have draws.
        """
        if np.shape(values) != (self.batch.size,):
            raise ValueError(
                f"`values` must be {self.batch.size}, one for each simulation, but shape {np.shape(values)} came."
            )
        self._require(MIN_FITS, "coverage")
        place = {label: np.abs(2 * self.assessment.pit[label].to_numpy() - 1) for label in self.pool.labels}
        return binned_coverage(place, np.asarray(values, float)[self.pool.numbers], edges)

    def __str__(self) -> str:
        number, level = self.attributes["num_simulations"], self.assessment.level
        draws = self.effective_draws[self.outcomes.is_fitted]
        of = "" if self.reached.all() else f"{self.reached.sum()} of "
        what = f"{self.verdict}: {self.attributes['engine']} on {of}{number} simulations {PLACES[self.near]}"
        rate = f"at a false-alarm rate of {self.false_alarm:g}"
        spent, calls = f"{self.attributes['seconds']:.1f} s", self.attributes["calls"]
        spent += f" in {calls} calls" if calls > 1 else ""
        if len(draws):
            spent = (
                f"effective draws of a fit: {np.median(draws):.0f} in the median, {draws.min():.0f} at least; {spent}"
            )
        figures = [f"{self.outcomes.told()}; {spent}"]
        if self.num_failed:
            figures = [f"{self.outcomes.told()}; {TABLE}", spent]
        if not of:
            p = f" (p ≤ {level:.2g} fails)" if self.assessment.extremity else ""
            return "\n".join([f"{what}, {rate}{p}", *figures, *lines_of(self.checks)])
        told = f"{of}{number} simulations were fitted before it was stopped, which is no verdict."
        lines = [what, f"{told} {going_on(self.attributes['checkpoint'])}"]
        if not self.assessment.extremity:
            return "\n".join([*lines, *(figures if self.num_failed else [spent])])
        so_far = f"The checks so far, {rate} (p ≤ {level:.2g} fails):"
        return "\n".join([*lines, *figures, so_far, *lines_of(self.checks)])

    def plausibility(self, problem: Problem, result: xr.DataTree, *, false_alarm: float = 0.01) -> Plausibility:
        """Say whether the observed data are among those that the program can produce.

        Parameters
        ----------
        problem : Problem
            With the observed data.
        result : xarray.DataTree
            Its fit by the engine that was calibrated.
        false_alarm : float

        Raises
        ------
        ValueError
            If the simulations are not from the prior, the result is of another program, no observed site has residuals
            that are known, or too few fits have draws.
        """
        if self.near != "prior":
            raise ValueError('`plausibility` needs simulations from the prior. Calibrate with `near="prior"`.')
        if problem.fingerprint != self.attributes["program_fingerprint"]:
            raise ValueError("The problem is of another program than the one calibrated. Calibrate it, too.")
        rules = problem.views().fisher_rules
        if not rules:
            raise ValueError(
                "`plausibility` needs an observed site whose residuals are known. Make its family known with "
                "`bayesastro.register_fisher`; or, for an `Amortised` posterior, ask `check_local(...).plausibility`."
            )
        self._require(MIN_FITS, "`plausibility`")
        draws = evenly(latent_draws(problem, result), MAX_RANKED)
        batch = problem.batch(observed={name: value[None] for name, value in problem.observed.items()})
        found = evaluated(batch, np.zeros(1, int), {name: values[None] for name, values in draws.items()})
        labels = [(name, feature) for name, _ in rules for feature in FEATURES]
        return plausibility(self.features, found["features"][0].mean(0), labels, false_alarm)

    def recalibrate(self) -> Recalibration:
        """Learn a correction of the posteriors from one half of the simulations and prove it on the other.

        Raises
        ------
        ValueError
            If the simulations are not from the prior, or fewer than 40 have draws.
        """
        if self.near != "prior":
            raise ValueError('`recalibrate` needs simulations from the prior. Calibrate with `near="prior"`.')
        self._require(MIN_SIMULATIONS, "`recalibrate`")
        return recalibrate(
            self.pool,
            self.batch,
            false_alarm=self.false_alarm,
            seed=self.attributes["seed"],
            program_fingerprint=self.attributes["program_fingerprint"],
        )

    def to_datatree(self) -> xr.DataTree:
        """Everything as an `xarray.DataTree`, for :func:`bayesastro.save`."""
        pool, tables = self.pool, self.assessment
        members = ("simulation", "member")
        groups = {
            "pool": xr.Dataset(
                {
                    "theta": ((*members, "parameter"), pool.theta),
                    "coordinates": ((*members, "coordinate"), pool.coordinates),
                    "log_likelihood": (members, pool.log_likelihood),
                    "log_density": (members, pool.log_density),
                    **{f"reference_{n}": (("simulation", "coordinate"), at) for n, at in pool.references.items()},
                },
                {"simulation": pool.numbers, "parameter": pool.labels},
            ),
            "pit": xr.Dataset(
                {"pit": (("simulation", "quantity"), tables.pit.to_numpy())}, {"quantity": list(tables.pit)}
            ),
            "checks": tables.checks.astype({"where": str}).to_xarray(),
            "parameters": tables.parameters.to_xarray(),
            "coverage": tables.coverage.to_xarray() if len(tables.coverage) else xr.Dataset(),
            "fits": self.outcomes.to_dataset(),
        }
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = dict(self.attributes) | {
            "calibration": self.verdict,
            "near": self.near,
            "false_alarm": self.false_alarm,
            "num_failed": self.num_failed,
        }
        return tree

    def plot(self) -> Figure:
        """Ranks, coverage, TARP, and bias beside shrinkage, with the bands of the verdict.

        Raises
        ------
        ValueError
            If too few fits succeeded or were done for there to be anything to show.
        """
        self._require(MIN_FITS, "the picture")
        page = Page(self.assessment, self.pool)
        return page.drawn(f"{self.verdict}: {self.attributes['engine']}, {self.outcomes.counted()}")

    def _require(self, least: int, what: str) -> None:
        self.outcomes.require(least, what, self.attributes["checkpoint"])
