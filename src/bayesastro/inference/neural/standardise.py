"""Standardisation: coordinates and observed sites to single-precision numbers of order one, and back.

Means and standard deviations are of all rows that did not fail, in double precision; so is everything before the cast.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bayesastro.banks.statistics import labels_of, listed, moments_of
from bayesastro.inference.neural.sources import Source

__all__ = ["SiteScale", "Standardisation", "Transform", "standardisation_of"]

Transform = Literal["none", "asinh", "sqrt", "log"]

READ_ROWS = 4096
"""Rows read together for moments; the softening of a transform is the median over the first of these."""


@dataclass(frozen=True, eq=False)
class SiteScale:
    """How an observed site is standardised.

    Parameters
    ----------
    transform : {"none", "asinh", "sqrt", "log"}
        Of the values, before anything else.
    softening : float
        s of asinh(x / s), and of 2 (√(1 + |x| / s) - 1) with the sign of x.
    mean, sd : array
        Of the site's shape.
    kept : array of bool
        False where an entry is masked or the same in all rows; these become 0.
    """

    transform: Transform
    softening: float
    mean: np.ndarray
    sd: np.ndarray
    kept: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Standardised values of shape (row, …), in single precision."""
        found = (_transformed(values, self.transform, self.softening) - self.mean) / self.sd
        return np.where(self.kept, found, 0.0).astype(np.float32)

    def log_volume(self, values: np.ndarray) -> np.ndarray:
        """Logarithm of the standardised volume of a unit volume of the kept entries at `values`, by row."""
        slope = {
            "none": np.ones_like,
            "asinh": lambda v: 1 / np.hypot(v, self.softening),
            "sqrt": lambda v: 1 / np.sqrt(self.softening * (self.softening + np.abs(v))),
            "log": lambda v: 1 / v,
        }
        found = np.log(slope[self.transform](np.asarray(values, float))) - np.log(self.sd)
        return np.where(self.kept, found, 0.0).reshape(len(values), -1).sum(1)


def _transformed(values: np.ndarray, transform: Transform, softening: float) -> np.ndarray:
    values = np.asarray(values, float)
    if transform == "asinh":
        return np.arcsinh(values / softening)
    if transform == "sqrt":
        return np.copysign(2 * (np.sqrt(1 + np.abs(values) / softening) - 1), values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(values) if transform == "log" else values


@dataclass(frozen=True, eq=False)
class Standardisation:
    """How rows of a bank are standardised.

    Parameters
    ----------
    mean, sd : array, shape (coordinate,)
    sites : mapping of str to SiteScale
    """

    mean: np.ndarray
    sd: np.ndarray
    sites: Mapping[str, SiteScale]

    def coordinates(self, z: np.ndarray) -> np.ndarray:
        """Standardised coordinates, in single precision."""
        return ((z - self.mean) / self.sd).astype(np.float32)

    def restored(self, z: np.ndarray) -> np.ndarray:
        """Coordinates from standardised ones."""
        return np.asarray(z, float) * self.sd + self.mean

    @property
    def log_volume(self) -> float:
        """Logarithm of the standardised volume of a unit of coordinates."""
        return -float(np.log(self.sd).sum())

    def observed(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Standardised values of each site."""
        return {name: scale(values[name]) for name, scale in self.sites.items()}


def standardisation_of(
    bank: Source,
    transforms: Mapping[str, Transform],
    shared: Mapping[str, tuple[int, ...]],
    raw: Sequence[str] = (),
) -> Standardisation:
    """The standardisation that a bank's rows give, those that failed left out.

    Parameters
    ----------
    transforms : mapping of str to {"none", "asinh", "sqrt", "log"}
        By site; none where a site is not named.
    shared : mapping of str to tuple of int
        By site, the axes over which entries have one mean and sd; all their own where a site is not named.
    raw : sequence of str
        Sites to be left as they are, such as masks.

    Raises
    ------
    ValueError
        If a coordinate, or all that is observed, is the same in all rows, or a logarithm is wanted of what is not
        positive.
    """
    softenings = _softenings(bank, transforms)

    def parts() -> Any:
        for z, x in bank.batches(READ_ROWS, seed=None):
            yield z, {n: _transformed(v, transforms.get(n, "none"), softenings.get(n, 1.0)) for n, v in x.items()}

    moments = moments_of(parts(), bank.labels, bank.shapes)
    if moments.coordinates.is_constant.any():
        name = bank.labels[int(np.argmax(moments.coordinates.is_constant))]
        raise ValueError(f"Parameter `{name}` is the same in all rows of the bank. Simulate it with a prior.")
    sites = {}
    for name, shape in bank.shapes.items():
        found, mask = moments.observed[name], _full_mask(bank, name)
        transform = transforms.get(name, "none")
        if transform == "log" and not np.isfinite(found.mean[mask]).all():
            raise ValueError(
                f'`{name}` is to be transformed by its logarithm, but has values that are not positive. Use "asinh".'
            )
        if name in raw:
            sites[name] = SiteScale("none", 1.0, np.zeros(shape), np.ones(shape), np.ones(shape, bool))
            continue
        kept = mask & ~found.is_constant
        mean, sd = _shared(found.mean, found.sd, kept, shared.get(name, ()))
        sd = np.where(kept & (sd > 0), sd, 1.0)
        sites[name] = SiteScale(transform, softenings.get(name, 1.0), np.where(kept, mean, 0.0), sd, kept)
    _warn_constant(bank, sites)
    return Standardisation(moments.coordinates.mean, moments.coordinates.sd, sites)


def _softenings(bank: Source, transforms: Mapping[str, Transform]) -> dict[str, float]:
    """Median absolute values of the sites that an asinh or square root transforms."""
    wanted = [name for name, transform in transforms.items() if transform in ("asinh", "sqrt")]
    if not wanted:
        return {}
    _, first = next(bank.batches(READ_ROWS, seed=None))
    found = {}
    for name in wanted:
        values = np.abs(first[name][:, _full_mask(bank, name)])
        found[name] = float(np.median(values[values > 0])) if (values > 0).any() else 1.0
    return found


def _full_mask(bank: Source, name: str) -> np.ndarray:
    """Where a site counts, of the shape of its values."""
    return bank.masks[name] if name in bank.masks else np.ones(bank.shapes[name], bool)


def _shared(mean: np.ndarray, sd: np.ndarray, kept: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """One mean and sd for all kept entries along the axes, in every place."""
    number = np.maximum(kept.sum(axes, keepdims=True), 1)
    common = np.where(kept, mean, 0.0).sum(axes, keepdims=True) / number
    variance = np.where(kept, sd**2 + (mean - common) ** 2, 0.0).sum(axes, keepdims=True) / number
    return np.broadcast_to(common, mean.shape), np.broadcast_to(np.sqrt(variance), mean.shape)


def _warn_constant(bank: Source, sites: Mapping[str, SiteScale]) -> None:
    """Warn of entries that are the same in all rows, though no mask says that they are left out."""
    dropped = []
    for name, scale in sites.items():
        unexpected = _full_mask(bank, name) & ~scale.kept
        names = labels_of([(name, scale.kept.shape)])
        dropped += [label for label, is_same in zip(names, unexpected.ravel(), strict=True) if is_same]
    if not any(scale.kept.any() for scale in sites.values()):
        raise ValueError("All that is observed is the same in all rows of the bank: there is nothing to learn from.")
    if dropped:
        names = listed([f"`{name}`" for name in dropped])
        warnings.warn(f"The same in all rows of the bank, and left out: {names}.", UserWarning, stacklevel=5)
