"""Recalibration of approximate posteriors: what simulations say is wrong with the draws, undone.

An affine map in unconstrained coordinates, relative to each posterior's own mean m and Cholesky factor L: draws
z become m + L (b + A L⁻¹ (z − m)), with b and A Aᵀ the mean and covariance of L⁻¹ (z_true − m) over simulations. And
conformal regions: the nominal credibility of a highest-density region that holds the truth as often as wanted. Both are
learnt on one half of the simulations and proven on the other.

References
----------
Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World (Springer), conformal regions;
Yu et al. 2021, Biometrika 108, 983 (arXiv:2010.06735), affine corrections of approximate posteriors by simulations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from bayesastro.batch import Batch
from bayesastro.calibration.checks import Assessment, Pool, assess, lines_of
from bayesastro.calibration.coverage import LEVELS, binomial_interval
from bayesastro.calibration.members import evaluated, kept, of_members, ranked_labels
from bayesastro.predictive import latent_draws
from bayesastro.problem import Problem
from bayesastro.result import legal_name, replay_draws, site_dims

__all__ = ["MIN_SIMULATIONS", "Recalibration", "recalibrate"]

MIN_SIMULATIONS = 40
"""With draws, of which one half learns and the other proves."""

DRAWS_FOR_EACH = 5
"""Draws, and simulations, for each coordinate that a full matrix needs; else coordinates are scaled one by one."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Recalibration:
    """A correction of an engine's posteriors on one program.

    Attributes
    ----------
    shift : array, shape (coordinate,)
        In the posterior's own whitened coordinates.
    factor : array, shape (coordinate, coordinate)
    before, after : Assessment
        Of the simulations held out, without and with the correction.
    conformal : pandas.DataFrame
        By wanted level: ``credibility``, the nominal one of the highest-density region to use; and the ``coverage``
        of that region on the simulations held out with its 95 % interval ``low``, ``high``.
    num_simulations : int
        Learnt from.
    is_full : bool
        Whether correlations were corrected, too.
    program_fingerprint : str
    """

    shift: np.ndarray
    factor: np.ndarray
    before: Assessment
    after: Assessment
    conformal: pd.DataFrame
    num_simulations: int
    is_full: bool
    program_fingerprint: str

    @property
    def verdict(self) -> str:
        """``"pass"`` if the corrected posteriors pass all checks on the simulations held out, otherwise ``"fail"``."""
        return "pass" if bool(self.after.checks["passed"].all()) else "fail"

    def __repr__(self) -> str:
        first = f"{self.verdict}: {self._origin}, on {len(self.after.pit)} held out"
        return "\n".join([first, *lines_of(self.after.checks, self.before.checks)])

    @property
    def _origin(self) -> str:
        return f"affine map learnt from {self.num_simulations} simulations"

    def apply(self, problem: Problem, result: xr.DataTree) -> xr.DataTree:
        """A result with corrected draws, marked ``recalibrated``.

        Statistics of the draws and pointwise likelihoods, which are of the old draws, are left out.

        Raises
        ------
        ValueError
            If the result is of another program or has no draws.
        """
        fingerprints = {problem.fingerprint, result.attrs.get("program_fingerprint")}
        if fingerprints != {self.program_fingerprint}:
            raise ValueError("The recalibration was learnt on another program. Calibrate this one.")
        views, posterior = problem.views(), result["posterior"].to_dataset()
        batch = problem.batch(observed={name: value[None] for name, value in problem.observed.items()})
        shape = (posterior.sizes["chain"], posterior.sizes["draw"])
        draws = {name: values[None] for name, values in latent_draws(problem, result).items()}
        z = evaluated(batch, np.zeros(1, int), draws)["coordinates"]
        moved = corrected(z, self.shift, self.factor, self.is_full)[0]
        known = tuple(name for name in views.deterministics if legal_name(name) in posterior)
        values, dims = replay_draws(problem.data, views, "unconstrained", known, moved), site_dims(views)
        variables = {
            legal_name(n): (("chain", "draw", *dims[legal_name(n)]), v.reshape(*shape, *v.shape[1:]))
            for n, v in values.items()
        }
        kept = {n: g.to_dataset() for n, g in result.children.items() if n in ("observed_data", "constant_data")}
        tree = xr.DataTree.from_dict({"posterior": xr.Dataset(variables), **kept})
        text = f"{self._origin}; {self.verdict} on those held out"
        tree.attrs = dict(result.attrs) | {"recalibrated": text}
        return tree


def recalibrate(pool: Pool, batch: Batch, *, false_alarm: float, seed: int, program_fingerprint: str) -> Recalibration:
    """Learn a correction from one half of a pool's simulations, `MIN_SIMULATIONS` or more, and prove it on the other.

    Raises
    ------
    ValueError
        If the program has no density.
    """
    if not pool.has_density:
        raise ValueError("Recalibration needs regions of highest density, but the program has no density.")
    order = np.random.default_rng(seed).permutation(pool.size)
    learnt, held_out = order[: pool.size // 2], order[pool.size // 2 :]
    z = pool.coordinates
    size, fewest = z.shape[-1], int(np.median((~np.isnan(z[..., 0])).sum(1))) - 1
    is_full = min(fewest, len(learnt)) >= DRAWS_FOR_EACH * size
    scores = np.stack([_whitened(z[s], is_full) for s in learnt])
    scores = scores[np.isfinite(scores).all(1)]
    covariance = np.atleast_2d(np.cov(scores.T)) if is_full else np.diag(scores.var(0, ddof=1))
    shift, factor = scores.mean(0), np.linalg.cholesky(covariance)
    rest = _selected(pool, held_out)
    moved = corrected(rest.coordinates[:, 1:], shift, factor, is_full)
    after = _replaced(rest, batch, moved)
    options = {"false_alarm": false_alarm, "seed": seed}
    whole = assess(pool, **options)
    return Recalibration(
        shift=shift,
        factor=factor,
        before=assess(rest, **options),
        after=assess(after, **options),
        conformal=_conformal(1 - whole.pit["hpd"].to_numpy()[learnt], 1 - whole.pit["hpd"].to_numpy()[held_out]),
        num_simulations=len(learnt),
        is_full=is_full,
        program_fingerprint=program_fingerprint,
    )


def corrected(draws: np.ndarray, shift: np.ndarray, factor: np.ndarray, is_full: bool) -> np.ndarray:
    """Draws of shape (simulation, draw, coordinate), corrected; NaN stays NaN."""
    moved = np.empty(draws.shape)
    for s, z in enumerate(draws):
        mean, scale = _center(z, is_full)
        moved[s] = mean + (shift + np.linalg.solve(scale, (z - mean).T).T @ factor.T) @ scale.T
    return moved


def _center(z: np.ndarray, is_full: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and Cholesky factor (or diagonal) of the draws that are finite."""
    finite = z[np.isfinite(z).all(1)]
    covariance = np.atleast_2d(np.cov(finite.T))
    return finite.mean(0), np.linalg.cholesky(covariance) if is_full else np.diag(np.sqrt(np.diag(covariance)))


def _whitened(z: np.ndarray, is_full: bool) -> np.ndarray:
    """The truth, member 0, in the whitened coordinates of the draws."""
    mean, scale = _center(z[1:], is_full)
    return np.linalg.solve(scale, z[0] - mean)


def _selected(pool: Pool, chosen: np.ndarray) -> Pool:
    arrays = ("theta", "coordinates", "log_likelihood", "log_density", "numbers")
    references: Mapping[str, np.ndarray] = {name: at[chosen] for name, at in pool.references.items()}
    return replace(pool, **{n: getattr(pool, n)[chosen] for n in arrays}, references=references, num_failed=0)


def _replaced(pool: Pool, batch: Batch, coordinates: np.ndarray) -> Pool:
    """The pool with other draws at the given coordinates."""
    views, sites = batch.problem.views(), batch.problem.parameters
    is_draw = np.any(~np.isnan(coordinates), axis=-1)
    # Where there is no draw the truth stands in, and is taken out again below.
    filled = np.where(is_draw[..., None], coordinates, pool.coordinates[:, :1])
    replayed = [
        replay_draws(batch.take(n), views, "unconstrained", (), z)
        for n, z in zip(pool.numbers, np.concatenate([pool.coordinates[:, :1], filled], axis=1), strict=True)
    ]
    members = {site.name: np.stack([r[site.name] for r in replayed]) for site in sites}
    found = evaluated(batch, pool.numbers, members, pool.deterministics)
    is_member = np.concatenate([np.ones((pool.size, 1), bool), is_draw], axis=1)

    flat = [members[s.name].reshape(*is_member.shape, -1) for s in sites]
    flat = np.concatenate([*flat, found["deterministics"]], axis=-1)
    labels = ranked_labels(batch.problem, pool.deterministics)
    columns = [i for i, label in enumerate(labels) if label in pool.labels]
    return replace(
        pool,
        theta=kept(flat[..., columns], is_member),
        **of_members(found, is_member),
    )


def _conformal(learnt: np.ndarray, held_out: np.ndarray) -> pd.DataFrame:
    """Credibilities of regions with a stated coverage, and their coverage on other simulations."""
    rows = {}
    for level in LEVELS:
        rank = int(np.ceil((len(learnt) + 1) * level))
        credibility = float(np.sort(learnt)[rank - 1]) if rank <= len(learnt) else 1.0
        count = int((held_out <= credibility).sum())
        low, high = binomial_interval(count, len(held_out))
        rows[level] = {"credibility": credibility, "coverage": count / len(held_out), "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("level")
