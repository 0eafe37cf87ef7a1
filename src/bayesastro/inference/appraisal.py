"""How good a variational approximation q(ξ) of a posterior p(ξ) is: residuals at its draws, and importance weights p/q.

The mean of log p/q over draws of q is a lower bound on the log-evidence, and exactly it where q is p; its spread says
how far q is off.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.inference.engine import Rows
from bayesastro.inference.importance import khat_of
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["MAX_DENSE", "bound", "minisanity", "num_weighed", "residual_sums"]

MAX_DENSE = 2000
"""Most unknowns for which q is computed: it takes matrices of their number squared."""

BUDGET = 3e11
"""Floating-point operations, some ten seconds of two processor cores, that weights may take in all."""

MIN_WEIGHED, MIN_TAIL = 4, 100
"""Fewest draws that are weighed, and fewest whose weights have a tail to fit."""


def num_weighed(views: Views) -> int:
    """How many draws are weighed, from the first on; an even number."""
    return 2 * max(MIN_WEIGHED // 2, int(BUDGET / (6 * views.white.size**3)))


def residual_sums(views: Views, xi: jax.Array, data: Data) -> jax.Array:
    """Sum, sum of squares and number of the normalised residuals, by observed site."""
    sums = views.fisher.residuals(xi, data)
    return jnp.array([sums[name] for name, _ in views.fisher.rules], xi.dtype).reshape(-1, 3)


def minisanity(views: Views, rows: Rows) -> dict[str, dict[str, Any]]:
    """NIFTy's table: mean and reduced χ² of the residuals of each site, with their spreads over the draws.

    About zero and one where the model holds: for the data if the noise is as the program says, for the latents'
    standard normal coordinates if the prior is.
    """
    table: dict[str, dict[str, Any]] = {}
    for i, (name, _) in enumerate(views.fisher.rules):
        total, squares, number = rows["residuals"][:, i].T
        table[name] = _row("data", total / np.maximum(number, 1), squares / np.maximum(number, 1), number[0])
    for part in views.white.slices:
        xi = rows["xi"][:, part.start : part.stop]
        table[part.name] = _row("latent", xi.mean(1), (xi**2).mean(1), xi.shape[1])
    return table


def _row(kind: str, mean: np.ndarray, chi2: np.ndarray, number: float) -> dict[str, Any]:
    # A draw far out in a steep program has a χ² whose square is beyond all numbers; infinite, it is reported as it is.
    with np.errstate(over="ignore"):
        spreads = {"mean_sd": mean.std(), "reduced_chi2_sd": chi2.std()}
    figures = {"mean": mean.mean(), "reduced_chi2": chi2.mean()} | spreads
    return {"kind": kind, **{name: float(value) for name, value in figures.items()}, "num": int(number)}


def bound(views: Views, rows: Rows) -> dict[str, Any]:
    """Evidence lower bound, the mean log-weight, with its error; and how far the weights are from equal."""
    size = views.white.size
    if "log_weight" not in rows:
        return {"elbo_absent": f"{size} unknowns; the bound is computed for at most {MAX_DENSE}"}
    log_weight = rows["log_weight"][: num_weighed(views)].astype(float)
    pairs = log_weight.reshape(-1, 2).mean(1)
    with np.errstate(all="ignore"):
        error = pairs.std(ddof=1) / np.sqrt(len(pairs)) if len(pairs) > 1 else np.nan
        spread = log_weight.std()
        found = {"elbo": log_weight.mean(), "elbo_err": error, "approximation_error": spread / np.sqrt(size)}
        if len(log_weight) >= MIN_TAIL and np.isfinite(log_weight).all():
            found["pareto_k"] = khat_of(log_weight)
    return {name: float(value) for name, value in found.items()}
