"""What is told at the start of a fit, or where it cannot start: nothing observed, angles, and sites without a density."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from bayesastro.angles import AngleCaution, angle_cautions
from bayesastro.evidence_checks import MAX_UNDEFINED
from bayesastro.inference.engine import Engine
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem

__all__ = ["no_start", "sites_undefined", "warn_of_cautions", "warn_of_prior"]

NUM_LOOKED_AT = 20
"""Draws from the prior at which each site's density is looked at, where an engine found none."""


def warn_of_prior(problem: Problem, *, stacklevel: int = 3) -> None:
    """Warn, at the line that called the caller, if the problem has no likelihood."""
    factors = {site.name for site in problem.views().structure.of_kind("factor")}
    if not problem.observed and factors <= set(problem.prior_factors):
        warnings.warn(
            "Nothing is observed: these are draws of the prior. Give the data by site name, `Problem(..., observed={...})`.",
            UserWarning,
            stacklevel=stacklevel,
        )


def warn_of_cautions(problem: Problem, engine: Engine, *, stacklevel: int = 3) -> dict[str, str]:
    """Warn, at the line that called the caller, of what :meth:`Problem.cautions` tells.

    Parameters of distributions matter to engines alone that compute the density.

    Returns
    -------
    dict
        The result's attributes ``angle_units`` and ``prior_domains`` for :func:`bayesastro.diagnose`, as JSON; each only if there
        is something to tell.
    """
    is_drawn = "density" in engine.needs
    found = problem.cautions() if is_drawn else angle_cautions(problem.views().structure, problem.units)
    if not found:
        return {}
    warnings.warn(" ".join(map(str, found)), UserWarning, stacklevel=stacklevel)
    kinds = {
        "angle_units": [vars(caution) for caution in found if isinstance(caution, AngleCaution)],
        "prior_domains": [vars(caution) for caution in found if not isinstance(caution, AngleCaution)],
    }
    return {name: json.dumps(told) for name, told in kinds.items() if told}


def sites_undefined(problem: Problem, attributes: Mapping[str, Any]) -> dict[str, str]:
    """The attribute ``undefined_sites``: where likelihoods that came to nothing are not numbers at draws from the prior, as JSON."""
    if not attributes.get("undefined_likelihoods", 0.0) > MAX_UNDEFINED:
        return {}
    terms = _terms(problem)
    bad = [name for name, term in terms.items() if np.isnan(term).any()]
    return {"undefined_sites": json.dumps(bad)} if bad else {}


def no_start(problem: Problem, engine: Engine, started: np.ndarray) -> str:
    """Say at which sites the density is not finite, from the terms at draws from the prior."""
    bad = [name for name, term in _terms(problem).items() if not np.isfinite(term).all(-1).any()]
    where = f" It is not finite at any draw from the prior at site {', '.join(f'`{n}`' for n in bad)}." if bad else ""
    what = "density and gradient" if "gradient" in engine.needs else "density"
    return (
        f"`{type(engine).__name__}` found no point of finite {what} for {int((~started).sum())} of its {started.size} "
        f"starts.{where} Check the program for overflows and for data that its priors exclude, or narrow the priors."
    )


def _terms(problem: Problem) -> dict[str, np.ndarray]:
    """Terms of the log-density by site, at draws from the prior along the leading axis."""
    chart, data = problem.unconstrained, problem.data
    with working_precision("double"):
        keys = jax.random.split(jax.random.key(0x5EED), NUM_LOOKED_AT)
        draws = jax.vmap(lambda key: chart.to_parameters(chart.draw_prior(key, data), data))(keys)
    theta = to_numpy(draws)
    terms = problem.log_prior(theta, batch_ndims=1) | problem.log_likelihood(theta, batch_ndims=1)
    return {name: term.reshape(NUM_LOOKED_AT, -1) for name, term in terms.items()}
