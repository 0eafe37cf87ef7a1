"""Divergent transitions: how many, in which part of a parameter's range they begin, and what to do about them."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.stats import norm

from bayesastro.findings import Finding, by_entry, sample_stats
from bayesastro.result import real_variables

__all__ = ["MAX_DIVERGENT", "divergences"]

MAX_DIVERGENT = 1e-3
"""Share of transitions: what so few draws stand for, even five posterior sds away, moves a mean by 0.005 sd, less than the
Monte Carlo error of ten thousand independent draws. Only where they begin all over the posterior: at the mouth of a region
that cannot be entered they stand for more than their number."""

MIN_PLACE_P = 0.01
"""Of divergent transitions that begin anywhere in the posterior, over all parameters."""

NEAR_ZERO = 3.0
"""In posterior sds: draws with a mean so near to 0, and all above it, are of a prior that ends there, as those of scales do."""


def divergences(result: xr.DataTree) -> list[Finding]:
    """Transitions that left the level of energy; a notice, if they are few and begin all over the posterior."""
    stats = sample_stats(result)
    if "diverging" not in stats:
        return []
    number, total = int(stats["diverging"].sum()), stats["diverging"].size
    if number == 0:
        return []
    text = f"{number} of {total} transitions diverged ({100 * number / total:.2g} %)"
    place = _place(result)
    if number <= MAX_DIVERGENT * total and place is None:
        remedy = "So few, and all over the posterior, they move no mean by more than its Monte Carlo error; raise `target_accept` (0.95) to be rid of them."
        return [Finding("divergences", "sampler", number, 0, text, remedy, "notice")]
    remedy = "The posterior has regions the sampler cannot enter, so the result is biased: raise `target_accept` (0.95, 0.99), use non-centred scales, or smooth hard edges; their places are in the group `divergences`."
    if place is not None:
        text += f", which begin in one part of the range of `{place.name}`: {place.where}"
        if place.is_near_zero:
            remedy = f"The sampler cannot enter where `{place.name}` is small, so the result is biased. If it is the scale of latents, write these non-centred, `mean + {place.name} * z` with `z ~ Normal(0, 1)`; else give it a prior away from 0, such as `LogNormal`; then raise `target_accept` (0.95, 0.99)."
    return [Finding("divergences", "sampler", number, 0, text, remedy)]


@dataclass(frozen=True)
class _Place:
    """A part of a parameter's range, in words; and whether it is the end at 0 of what cannot be negative, as scales are."""

    name: str
    where: str
    is_near_zero: bool


def _place(result: xr.DataTree) -> _Place | None:
    """Where among the draws of a parameter divergent transitions begin, if at one end, at both, or in the middle."""
    if "divergence_starts" not in result.children:
        return None
    starts = result["divergence_starts"].to_dataset()
    draws = real_variables(result)
    found = {}
    for name in (name for name in starts.data_vars if name in draws.data_vars):
        begun = starts[name].values.reshape(starts[name].shape[0], -1)
        ordered = np.sort(draws[name].values.reshape(-1, begun.shape[1]), axis=0)
        labels = [label for label, _ in by_entry(draws[[name]].isel(chain=0, draw=0))]
        for label, column, sample in zip(labels, begun.T, ordered.T, strict=True):
            u = _ranks(column, sample)
            # Mean ranks, and mean distances from the median, of uniform ones: sums of as many terms are near to normal.
            means = np.array([(u.mean() - 0.5) * np.sqrt(12), (np.abs(u - 0.5).mean() - 0.25) * np.sqrt(48)])
            means *= np.sqrt(len(u))
            found[label] = (float(np.max(np.abs(means))), means, column, sample, draws[name].attrs)
    if not found:
        return None
    label = max(found, key=lambda label: found[label][0])
    extremity, means, column, sample, attributes = found[label]
    if 4 * len(found) * norm.sf(extremity) >= MIN_PLACE_P:
        return None
    side = int(np.argmax(np.abs(means)))
    is_low = bool(side == 0 and means[0] < 0)
    where = _end(column, sample, attributes, is_low) if side == 0 else _around(column, sample, attributes, means[1] < 0)
    return _Place(label, where, is_low and bool(sample[0] > 0 and sample.mean() < NEAR_ZERO * sample.std()))


def _ranks(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Shares of a sample in order that lie below values; of those that are equal, half."""
    return 0.5 * (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / len(ordered)


def _end(column: np.ndarray, sample: np.ndarray, attributes: dict, is_low: bool) -> str:
    """The part below, or above, the value at which the shares of divergences and of draws differ most."""
    column = np.sort(column)
    u, counts = _ranks(column, sample), np.arange(len(column))
    if is_low:
        i = int(np.argmax((counts + 1) / len(column) - u))
        return _told(f"below {_value(column[i], attributes)}", (i + 1) / len(column), u[i])
    i = int(np.argmax(u - counts / len(column)))
    return _told(f"above {_value(column[i], attributes)}", 1 - i / len(column), 1 - u[i])


def _around(column: np.ndarray, sample: np.ndarray, attributes: dict, is_middle: bool) -> str:
    """The same, of distances from the median in ranks."""
    w = np.sort(np.abs(2 * _ranks(column, sample) - 1))
    counts = np.arange(len(w))
    i = int(np.argmax((counts + 1) / len(w) - w if is_middle else w - counts / len(w)))
    low, high = (_value(v, attributes) for v in np.quantile(sample, [0.5 - 0.5 * w[i], 0.5 + 0.5 * w[i]]))
    if is_middle:
        return _told(f"between {low} and {high}", (i + 1) / len(w), w[i])
    return _told(f"below {low} or above {high}", 1 - i / len(w), 1 - w[i])


def _told(where: str, divergent: float, drawn: float) -> str:
    share = "all" if divergent == 1 else f"{_percent(divergent)} %"
    return f"{share} of them {where}, where {_percent(drawn)} % of all draws lie"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def _value(value: float, attributes: dict) -> str:
    return " ".join(filter(None, [f"{value:.3g}", str(attributes.get("units", ""))]))
