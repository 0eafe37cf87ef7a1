"""What a diagnostic check reports: a finding, with its number, threshold and remedy."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from bayesastro.result import real_variables

__all__ = ["ORDER", "Finding", "by_entry", "by_urgency", "entries", "sample_stats", "worst"]

ORDER = (
    # Without a whole run there is nothing to judge.
    *("incomplete", "failed", "too_few_draws"),
    # A density that cannot be computed spoils all that is made of it.
    *("not_finite", "prior_domain", "angle_unit", "undefined_likelihoods", "nans"),
    # Networks say nothing of data that they have not learnt, nor optimisers before they have ended.
    *("outside_bank", "epistemic", "minimum_not_converged", "not_settled", "draws_not_converged"),
    # A chain that is elsewhere, or stands still, has divergences and an R̂ of its own.
    "stuck",
    # Regions that the sampler cannot enter, and steps too long: biased however many the draws.
    *("divergences", "energy_error", "step_bias"),
    # What makes chains slow stands before what is slow.
    *("bfmi", "tree_depth", "rhat", "autocorrelation", "ess_bulk", "ess_tail", "step_bias_unknown"),
    # Of evidences: moves and walks, what they leave behind, and the estimates made of it.
    *("not_converged", "low_acceptance", "few_founders", "short_walks", "self_check", "insertion_ranks"),
    *("evidence_scatter", "not_refined", "refinement"),
    # Approximations and weights, which inherit all that stands above.
    *("khat", "approximation", "ess_weights"),
    # What the model says of the data, once the draws are right.
    *("reduced_chi2", "prior_edge"),
)
"""Names of all checks in the order in which to go at what they find."""


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


def by_urgency(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """In the order in which to go at them, warnings before notices."""
    return tuple(sorted(findings, key=lambda found: (found.level == "notice", ORDER.index(found.id))))


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
