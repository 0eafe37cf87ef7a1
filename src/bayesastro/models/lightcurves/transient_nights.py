"""Many transients at once: light curves of similar length stacked, and the order in which their data come in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bayesastro.batch import Batch
from bayesastro.datasets.alerts import AlertLightCurve
from bayesastro.models.lightcurves.transient import BROAD, ClassPrior, program, stack
from bayesastro.problem import Problem

__all__ = ["LENGTHS", "Stack", "stacks"]

LENGTHS = (16, 32, 64, 128, 256)
"""Numbers of data that light curves are padded to. Cost is in proportion to them; and each is compiled for."""


class Stack(NamedTuple):
    """Light curves padded to one length.

    Attributes
    ----------
    numbers : array of int, shape (curve,)
        Places among all light curves.
    batch : Batch
        For `fit_many` and `Sequential.follow_many`.
    group : array of int, shape (curve, n)
        Numbers of the data in order of time, one by one; −1 at padding.
    time : array, shape (curve, n) [day]
        Since the first detection; NaN at padding.
    """

    numbers: Int[np.ndarray, " curve"]
    batch: Batch
    group: Int[np.ndarray, "curve n"]
    time: Float[np.ndarray, "curve n"]


def stacks(
    curves: Sequence[AlertLightCurve],
    prior: ClassPrior | Sequence[ClassPrior] = BROAD,
    *,
    lengths: Sequence[int] = LENGTHS,
) -> list[Stack]:
    """The program of :mod:`bayesastro.models.lightcurves.transient` with many light curves, by length.

    Parameters
    ----------
    curves : sequence of AlertLightCurve
    prior : ClassPrior, or a sequence of them
        One for all, or one for each.
    lengths : sequence of int
        Light curves are padded to the smallest of these that holds them; longer ones to the longest.

    Raises
    ------
    ValueError
        If there is no light curve, the priors are not as many, or a light curve is not as it should be.
    """
    if not curves:
        raise ValueError("`stacks` needs at least one light curve, but none came.")
    priors = [prior] * len(curves) if isinstance(prior, ClassPrior) else list(prior)
    if len(priors) != len(curves):
        raise ValueError(f"`stacks` needs one prior for all or {len(curves)} of them, but {len(priors)} came.")
    sizes = np.array([len(curve.time) for curve in curves])
    known = np.sort(np.asarray(lengths))
    places = np.searchsorted(known, sizes)
    found = []
    for place in np.unique(places):
        numbers = np.flatnonzero(places == place)
        length = int(known[place]) if place < len(known) else int(sizes.max())
        some = numbers.tolist()
        found.append(_stacked([curves[i] for i in some], [priors[i] for i in some], numbers, length))
    return found


def _stacked(
    curves: Sequence[AlertLightCurve], priors: Sequence[ClassPrior], numbers: np.ndarray, length: int
) -> Stack:
    columns = stack(curves, length)
    flux, is_real = columns.pop("flux"), columns["is_real"]
    laws = {
        "mean": np.stack([np.asarray(prior.mean, float) for prior in priors]),
        "tril": np.stack([np.linalg.cholesky(prior.covariance) for prior in priors]),
    }
    first = {name: column[0] for name, column in (columns | laws).items()}
    batch = Problem(program, **first, observed={"flux": flux[0]}).batch(observed={"flux": flux}, **columns, **laws)
    group = np.where(is_real, np.arange(length), -1)
    return Stack(numbers, batch, group, np.where(is_real, columns["time"], np.nan))
