"""Checks of variational and neural results: importance weights, solves, residuals, data unlike those trained on."""

import json

import numpy as np
import xarray as xr

from bayesastro.findings import Finding, sample_stats, worst
from bayesastro.inference.importance import MAX_KHAT

__all__ = ["APPROXIMATION_CHECKS", "importance_tail"]

MAX_SHIFT = 0.2
"""Of the expansion point between the last iterations, in posterior sds: a fifth adds 2 % to an error in quadrature."""

MAX_APPROXIMATION_ERROR = 0.2
"""As for `MAX_SHIFT`."""

MAX_CHI2_DEVIATION = 5.0
"""Of reduced χ² from one, in its expected sds √(2/n); and by a factor of 1.5 too, for with 10⁶ data all models fail."""


MAX_OUTSIDE = 1.0
"""Of the largest that rows have which the networks did not see in training."""

MAX_EPISTEMIC = 0.1
"""Of a parameter's variance: its sd is then 5 % larger than it would be after perfect training."""


def importance_tail(result: xr.DataTree) -> list[Finding]:
    """Importance weights whose tail is too heavy for their sums to mean anything, even if no draws came of them."""
    if result.attrs.get("fell_back"):  # the draws are not weighted
        return []
    what = "k̂ of the importance weights"
    remedy = (
        "The approximation does not cover the posterior: use the draws only as `start=` of `NUTS` or another engine."
    )
    return worst("khat", [("weights", float(result.attrs.get("khat", 0.0)))], MAX_KHAT, 1, what, remedy)


def _approximation(result: xr.DataTree) -> list[Finding]:
    error = result.attrs.get("approximation_error", 0.0)
    what = "the approximation's error by its importance weights, in posterior sds for each unknown,"
    remedy = "Compare with `NUTS` started from this result (`start=result`), raise `num_samples`, or reparametrise."
    return worst("approximation", [("posterior", float(error))], MAX_APPROXIMATION_ERROR, 1, what, remedy)


def _solves(result: xr.DataTree) -> list[Finding]:
    """Linear and Newton solves of a variational run that ended at their limits, and an expansion point on the move."""
    if "iterations" not in result.children or result["iterations"].sizes.get("iteration", 0) == 0:
        return []
    found, stats, last = [], sample_stats(result), result["iterations"].to_dataset().isel(iteration=-1)
    failed = float(1 - stats["converged"].mean()) if "converged" in stats else 0.0
    if failed > 0:
        text = f"{100 * failed:.2g} % of the draws were not solved to the tolerance"
        remedy = "Raise `max_cg_iterations` and `max_sampling_newton`, or the `tolerance`."
        found.append(Finding("draws_not_converged", "draws", failed, 0, text, remedy))
    if not bool(last["converged"]):
        text = f"the last minimisation ended after {int(last['newton_iterations'])} Newton steps without converging"
        remedy = "Raise `max_newton` and `max_cg_iterations`, or the `tolerance`."
        found.append(
            Finding("minimum_not_converged", "optimisation", float(last["newton_iterations"]), np.nan, text, remedy)
        )
    remedy = "Raise `num_iterations` if it still falls from one to the next, or else `num_samples`."
    what = "the last move of the expansion point, in posterior sds,"
    return found + worst("not_settled", [("optimisation", float(last["shift"]))], MAX_SHIFT, 1, what, remedy)


def _minisanity(result: xr.DataTree) -> list[Finding]:
    """Residuals of the data that are larger or smaller than the noise the program gives them."""
    found = []
    remedy = "The data scatter more or less than the program says: look at the residuals, the errors and the model."
    for site, row in json.loads(result.attrs.get("minisanity", "{}")).items():
        chi2 = row["reduced_chi2"]
        deviation = abs(chi2 - 1) / np.sqrt(2 / max(row["num"], 1))
        if row["kind"] == "data" and deviation > MAX_CHI2_DEVIATION and not 1 / 1.5 < chi2 < 1.5:
            text = f"the reduced χ² of `{site}` is {chi2:.3g}"
            found.append(Finding("reduced_chi2", site, chi2, 1.0, text, remedy))
    return found


def _outside_bank(result: xr.DataTree) -> list[Finding]:
    """Data unlike all that a neural posterior was trained on."""
    number = float(result.attrs.get("outside_bank", 0.0))
    what = "the data's distance from the simulations trained on, relative to the farthest of these,"
    remedy = (
        "The network has to extrapolate: see with `check_fit` whether the program can make such data, and widen its "
        "priors or noise; or use another engine."
    )
    return worst("outside_bank", [("data", number)], MAX_OUTSIDE, 1, what, remedy)


def _epistemic(result: xr.DataTree) -> list[Finding]:
    """Networks of an ensemble that disagree."""
    shares = json.loads(result.attrs.get("epistemic_shares", "{}"))
    what = "the share of the variance in which the trained networks disagree"
    remedy = "Train on more simulations, or on some near the data; until then the posterior is wider than it need be."
    return worst("epistemic", list(shares.items()), MAX_EPISTEMIC, 1, what, remedy)


APPROXIMATION_CHECKS = (_approximation, _solves, _minisanity, _outside_bank, _epistemic)
