"""The law of a class from fits of its members one by one: the way to classes of thousands of members.

Expectation and maximisation in rounds: each member is fitted alone under the law of the class so far, which is then that
of largest posterior density for the members' draws. What :mod:`bayesastro.models.lightcurves.transient_population` finds
by fitting all members and the law together is a posterior of the law; this is its mode.

References
----------
Dempster, Laird & Rubin 1977, J. R. Stat. Soc. B 39, 1; Wei & Tanner 1990, JASA 85, 699 (draws in the expectation).
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from bayesastro.models.lightcurves.transient import BROAD, SHAPE, ClassPrior
from bayesastro.models.lightcurves.transient_population import TYPICAL_SPREAD

__all__ = ["maximised", "rounds"]

PSEUDO_MEMBERS = 4.0
"""Members of typical spread and without correlation, that the prior of the covariance counts as."""


def rounds(
    fit: Callable[[ClassPrior], Float[np.ndarray, "member draw k"]], prior: ClassPrior = BROAD, *, num_rounds: int = 6
) -> Iterator[ClassPrior]:
    """Laws of a class, each from fits under the one before; the first from fits under `prior`.

    Parameters
    ----------
    fit : callable
        Fits every member under a law and returns equal-weight draws of the numbers of `SHAPE`.
    prior : ClassPrior
        Of any supernova.
    num_rounds : int

    Raises
    ------
    ValueError
        If draws are not as they should be.
    """
    law = prior
    for _ in range(num_rounds):
        law = maximised(fit(law), prior)
        yield law


def maximised(draws: Float[np.ndarray, "member draw k"], prior: ClassPrior = BROAD) -> ClassPrior:
    """The most probable law of a class whose members are drawn.

    Parameters
    ----------
    draws : array, shape (member, draw, 15)
    prior : ClassPrior
        Its mean and standard deviations are those of the class's mean; the class's standard deviations are about 0.4 of
        them.

    Returns
    -------
    ClassPrior
        Of one more member: its covariance has the error of the mean in it.

    Raises
    ------
    ValueError
        If `draws` have another shape or fewer than two members.
    """
    draws, k = np.asarray(draws, float), len(SHAPE)
    if draws.ndim != 3 or draws.shape[2] != k or len(draws) < 2:
        raise ValueError(
            f"`draws` must have the shape (member, draw, {k}) with at least two members, but {draws.shape} came."
        )
    n, width = len(draws), np.diag(prior.covariance)
    typical = TYPICAL_SPREAD**2 * np.diag(width)
    mean, covariance = draws.mean(axis=(0, 1)), typical
    for _ in range(100):
        off = draws - mean
        scatter = np.einsum("isk,isl->kl", off, off) / draws.shape[1]
        covariance = (PSEUDO_MEMBERS * typical + scatter) / (PSEUDO_MEMBERS + n)
        precision = n * np.linalg.inv(covariance)
        pull = precision @ draws.mean(axis=(0, 1)) + np.asarray(prior.mean) / width
        mean = np.linalg.solve(precision + np.diag(1.0 / width), pull)
    return ClassPrior(mean=mean, covariance=covariance * (1.0 + 1.0 / n))
