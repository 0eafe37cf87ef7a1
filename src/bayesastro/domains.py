"""Whether the parameters of a program's distributions, and the data, are within their domains.

What is outside at every draw from the prior is a fault of the data, and refused. What is outside at some draws has no density there:
the prior is not what the program says, and neither are evidences and calibrations; that is told before a fit and by `Problem.check`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from bayesastro.precision import to_numpy, working_precision
from bayesastro.program import Data
from bayesastro.structure import Site, Structure, support_name

__all__ = ["Caution", "cautions", "domain_error", "same"]

MAX_DRAWS = 32
"""From the prior. What fails at a tenth of them is missed once in thirty times; a draw costs about one density."""

MIN_DRAWS = 4
"""Of the largest programs."""

MAX_NUMBERS = 10_000_000
"""Drawn in all, unless `MIN_DRAWS` are more."""


@dataclass(frozen=True)
class Caution:
    """A distribution's parameter that leaves its domain at some draws from the prior.

    Attributes
    ----------
    site, argument : str
        The site, and the parameter of its distribution.
    fraction : float
        Of the draws.
    why, remedy : str
    """

    site: str
    argument: str
    fraction: float
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"Site `{self.site}`: {self.why}. {self.remedy}"


def cautions(structure: Structure, data: Data) -> tuple[Caution, ...]:
    """The first parameter of each site that is outside its domain at a draw from the prior, but not the same at all of them.

    Sites after one that is outside are left out: what they are made of comes from it.
    """
    size = sum(math.prod(site.shape) for site in structure.of_kind("latent", "observed"))
    num_draws = int(np.clip(MAX_NUMBERS // max(size, 1), MIN_DRAWS, MAX_DRAWS))
    with working_precision(structure.precision):
        probes = [_checks(structure.probe(data, jax.random.key(seed))) for seed in range(1, num_draws + 1)]
    found, explained = [], np.zeros(num_draws, bool)
    for site in structure.of_kind("latent", "observed"):
        fails = {
            name: np.array([probe[site.name][name]["count"] > 0 for probe in probes])
            for name in _ordered(probes[0][site.name])
            if name != "__value__"
        }
        for name, failed in fails.items():
            if np.any(failed & ~explained):
                values = [float(np.real(probe[site.name][name]["value"])) for probe in probes]
                found.append(_caution(site, name, failed, values))
                break
        explained = np.logical_or.reduce([explained, *fails.values()])
    return tuple(found)


def _checks(report: Mapping[str, Any]) -> Any:
    return to_numpy({name: found["checks"] for name, found in report.items() if "checks" in found})


def _ordered(checks: Mapping[str, Any]) -> Iterator[str]:
    """Names of a family's parameters, its own before those of its parts."""
    yield from sorted(checks, key=lambda name: name.count("."))


def _caution(site: Site, name: str, failed: np.ndarray, values: Sequence[float]) -> Caution:
    bad = [value for value, fails in zip(values, failed, strict=True) if fails]
    shown = next(filter(np.isfinite, bad), bad[0])
    where = f"at {int(failed.sum())} of {len(failed)} draws from the prior"
    its = f"`{name}` of its `{site.family}`"
    if np.isfinite(shown):
        domain = _domain(site, name)
        why = f"{its} must be {domain}, but is not {where} (as {shown:.3g}), and there is no density there"
        remedy = _REMEDIES.get(domain, _REMEDY)
    else:
        why = f"{its} is {shown:g} {where}, and there is no density there"
        remedy = (
            "Look for overflows, and for roots and logarithms of negative numbers in the program; or narrow the priors."
        )
    return Caution(site.name, name, float(failed.mean()), why, remedy)


def _domain(site: Site, name: str) -> str:
    """Where a parameter must lie, in words."""
    if name == "high - low":
        return "positive"
    constraint = getattr(site.distribution, "arg_constraints", {}).get(name)
    if constraint is None:  # of a part
        return "within its domain"
    ends = tuple(getattr(constraint, end, None) for end in ("lower_bound", "upper_bound"))
    return _DOMAINS.get(ends) or support_name(constraint)


_DOMAINS = {(0, None): "positive", (0.0, 1.0): "between 0 and 1"}
_REMEDY = "Give what it is made of priors that keep it there, or transform it."
_REMEDIES = {
    "positive": "Give what it is made of a prior that is positive, such as `HalfNormal` or `LogNormal`.",
    "between 0 and 1": "Give what it is made of a prior from 0 to 1, such as `Beta` or `Uniform`.",
}


_SPREAD = ("Uniform", "LogUniform")
"""Families that spread between two ends."""

_OF_DATA = (
    "Errors and scales must be positive and covariances positive definite; correct the data, or mask these entries and put valid "
    "numbers in their place."
)


def domain_error(structure: Structure, probes: Sequence[Mapping[str, Any]], observed: Mapping[str, np.ndarray]) -> str:
    """What to say of a distribution's parameter, or an observed value, that is outside its domain in every probe.

    Probes are draws from the prior: what fails in all of them, at the same place and with the same value, does not
    depend on the latents but on the data. Empty if nothing does.
    """
    for site in structure.of_kind("latent", "observed"):
        if site.family in _SPREAD and not all(np.isfinite(end).all() for end in probes[0][site.name]["bounds"]):
            return f"Site `{site.name}`: its `{site.family}` needs finite ends. Give both, or a family that has none, such as `Normal`."
        checks = probes[0][site.name]["checks"]
        for name in _ordered(checks):
            first = checks[name]
            others = [probe[site.name]["checks"][name] for probe in probes]
            values = [float(np.real(other["value"])) for other in others]
            what = f"with least entry {values[0]:g}" if first["is_event"] else f"{values[0]:g}"
            if any(o["count"] == 0 or o["first"] != first["first"] for o in others):
                continue
            if name == "__value__":
                supports = [probe[site.name]["support"] for probe in probes]
                if not all(all(map(same, support, supports[0])) for support in supports):
                    continue  # a support that moves with the latents may hold the value elsewhere
                return (
                    f"Observed `{site.name}` has {int(first['count'])} value(s) outside the support "
                    f"({site.support}) of its `{site.family}`, the first {what}. Correct the data or the family."
                )
            if all(np.isclose(v, values[0], equal_nan=True) for v in values):
                remedy = "Give `low` below `high`." if name == "high - low" else _OF_DATA
                return (
                    f"Site `{site.name}`: `{name}` of its `{site.family}` has {int(first['count'])} value(s) outside "
                    f"its domain, the first {what} at flat index {int(first['first'])}. {remedy}"
                )
    return ""


def same(a: Any, b: Any) -> bool:
    """Whether two arrays are equal; of one that is not a number, so is the other."""
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind in "fc")
