"""`calibrate`: simulations with known truths, fitted by an engine, and all checks of its posteriors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import xarray as xr
from scipy.stats import norm

from bayesastro.batch import Batch
from bayesastro.calibration.checks import MEANINGS, MIN_FITS, assess
from bayesastro.calibration.local import REPLICATE, doubled
from bayesastro.calibration.members import MAX_RANKED, evaluated, pool_of, ranked_labels
from bayesastro.calibration.outcomes import going_on
from bayesastro.calibration.report import CalibrationReport
from bayesastro.calibration.requirements import require_whole_prior
from bayesastro.calibration.spent import Spent, spending
from bayesastro.calibration.tarp import estimates
from bayesastro.drive import check_kinds, check_time_limit, fit
from bayesastro.hints import told
from bayesastro.inference.engine import Engine
from bayesastro.many import fit_many
from bayesastro.names import check_deterministics
from bayesastro.precision import Precision
from bayesastro.predictive import evenly, latent_draws, observed_masks, replicates_at, require_generative
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["calibrate", "least_simulations"]

MAX_HALF_BAND = 0.25
"""Half-width of the ECDF's band at its middle; a wider one lets posteriors pass that are off by 0.7 sd."""

EFFECTIVE_PLACES = 10
"""Independent places of an ECDF, roughly; the band's pointwise rate is the check's over this."""

NUM_REFERENCE = 8 * (MAX_RANKED + 1)
"""Simulations of its own that estimates by the data are learnt from."""

Near = Literal["prior", "observed"]


@asks_for("seed")
def calibrate(
    problem: Problem,
    engine: Engine,
    *,
    num_simulations: int,
    seed: int,
    near: Near = "prior",
    posterior: xr.DataTree | None = None,
    false_alarm: float = 0.01,
    deterministics: str | Sequence[str] = (),
    chunk: int | Literal["auto"] = "auto",
    checkpoint: str | Path | None = None,
    time_limit: float | None = None,
    progress: bool = True,
    precision: Precision = "double",
    client: Any = None,
) -> CalibrationReport:
    """Say whether an engine's posteriors are right, from simulations of which the truth is known.

    Parameters and data are drawn from the program, all data sets are fitted by :func:`fit_many`, and each truth is
    compared with independent draws from its posterior: ranks of the parameters and of the joint log-likelihood,
    coverage of central and highest-density regions, bias, and TARP with random references and with estimates from the
    data. One false-alarm rate holds for all checks together; each may use the same share of it, found from replicates
    in which draws take the truth's place.

    The simulations are those of the program: that it describes the data observed is for :func:`check_fit`, and
    :meth:`CalibrationReport.plausibility`, to say. A posterior that is right on the average over the prior can be
    wrong near the data observed: ``near="observed"`` looks there.

    Parameters
    ----------
    problem : Problem
    engine : Engine
    num_simulations : int
        300 find a shift by half a sd or a width off by a factor of 1.5; 1000 half of that.
    seed : int
    near : {"prior", "observed"}
        Simulate from the prior, or replicates of the observed data from their posterior (posterior SBC; the engine then
        fits the data and a replicate together, from draws of the posterior: these are spread wider than what it seeks, and
        the truth is one like them).
    posterior : xarray.DataTree, optional
        With ``near="observed"``, a result of the problem to draw and start from. By default the engine is run.
    false_alarm : float
        Probability that an engine which draws from the posterior fails.
    deterministics : str or sequence of str
        Deterministic sites that are checked beside the parameters: the pixels of an image beside its modes, say.
    checkpoint : path, optional
        Folder to keep the fits in; the same call goes on from there. One that was stopped has the verdict ``"incomplete"``.
    chunk, time_limit, progress, precision, client
        As for :func:`fit_many`.

    Returns
    -------
    CalibrationReport

    Raises
    ------
    KeyboardInterrupt, TimeoutError
        If Ctrl-C, or the time limit, ended the fit of the observed data, of which there is nothing to report.
    ValueError
        If the program does not generate its data (an improper prior, a factor), the engine cannot run it, the
        simulations are too few for the false-alarm rate, or a setting makes no sense.

    References
    ----------
    Talts et al. 2018, arXiv:1804.06788; Säilynoja, Bürkner & Vehtari 2022 (arXiv:2103.10522); Modrák et al. 2023
    (arXiv:2211.02383); Lemos et al. 2023 (arXiv:2302.03026); Säilynoja et al. 2025, arXiv:2502.03279.
    """
    seed, folder = checked_seed(seed), None if checkpoint is None else Path(checkpoint)
    _check(problem, engine, num_simulations, near, posterior, false_alarm, _as_names(deterministics), time_limit)
    running: dict[str, Any] = {"seed": seed, "progress": progress, "precision": precision}
    with spending(folder) as spent:
        if near == "observed" and posterior is None:
            posterior = _fitted(problem, engine, folder, running | {"time_limit": time_limit})
        target, batch, truths, known = _simulations(problem, num_simulations, seed, posterior)
        running |= {"chunk": chunk, "client": client, "start": None if engine.is_batched else posterior}
        running |= {"checkpoint": None if folder is None else folder / "fits"}
        tree, status = _fits(target, batch, engine, time_limit, spent, running)
        found = _assessed(target, batch, truths, known, tree, seed, false_alarm, _as_names(deterministics))
    attributes = _attributes(problem, engine, tree, seed, folder) | {"status": status} | spent.total()
    return CalibrationReport(**found, batch=batch, near=near, false_alarm=false_alarm, attributes=attributes)


def _fits(
    target: Problem,
    batch: Batch,
    engine: Engine,
    time_limit: float | None,
    spent: Spent,
    running: Mapping[str, Any],
) -> tuple[xr.DataTree, str]:
    """The fits, in what is left of the time limit, and how they ended."""
    left = None if time_limit is None else max(time_limit - spent.elapsed(), 1e-6)
    tree = fit_many(target, batch, engine, time_limit=left, **running)
    spent.here |= {name: tree.attrs[name] for name in ("seconds_compiling", "seconds_running")}
    if tree["fits"]["reached"].all():
        return tree, "complete"
    return tree, "interrupted" if time_limit is None or spent.elapsed() < time_limit else "time limit reached"


def _assessed(
    target: Problem,
    batch: Batch,
    truths: Mapping[str, np.ndarray],
    known: tuple[dict[str, np.ndarray], dict[str, np.ndarray]],
    tree: xr.DataTree,
    seed: int,
    false_alarm: float,
    deterministics: tuple[str, ...],
) -> dict[str, Any]:
    """What a report says of the fits, by name."""
    reached = tree["fits"].to_dataset()["reached"].values
    references = _references(target, batch, known, seed) if reached.sum() >= MIN_FITS else {}
    pool, outcomes, features = pool_of(batch, truths, tree, references, np.random.default_rng(seed), deterministics)
    return {
        "assessment": assess(pool, false_alarm=false_alarm, seed=seed),
        "pool": pool,
        "features": features,
        "outcomes": outcomes,
    }


def least_simulations(num_parameters: int, false_alarm: float) -> int:
    """Simulations with which the band of an ECDF is no wider than `MAX_HALF_BAND` to either side."""
    rate = false_alarm / (len(MEANINGS) * num_parameters * EFFECTIVE_PLACES)
    return int(np.ceil((norm.isf(rate / 2) / (2 * MAX_HALF_BAND)) ** 2))


def _attributes(problem: Problem, engine: Engine, tree: xr.DataTree, seed: int, folder: Path | None) -> dict[str, Any]:
    """What was run and where it is kept."""
    return {
        "engine": type(engine).__name__,
        "engine_settings": json.dumps(engine.settings(), default=str),
        "exactness": engine.exactness,
        "program_fingerprint": problem.fingerprint,
        "seed": int(seed),
        "num_simulations": int(tree["fits"].sizes["dataset"]),
        "checkpoint": "" if folder is None else str(folder),
    }


def _as_names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _check(
    problem: Problem,
    engine: Engine,
    num_simulations: int,
    near: Near,
    posterior: xr.DataTree | None,
    false_alarm: float,
    deterministics: tuple[str, ...],
    time_limit: float | None,
) -> None:
    """Raise before anything is simulated."""
    check_time_limit(time_limit)
    check_kinds("calibrate", problem, engine)
    require_generative(problem, "calibrate")
    engine.validate(problem)
    require_whole_prior(engine, "calibrate")
    if not 1e-4 <= false_alarm < 1:
        raise ValueError(f"`false_alarm` must be from 0.0001 to 1, but {told(false_alarm)} came.")
    if near not in ("prior", "observed"):
        raise ValueError(f'`near` must be "prior" or "observed", but {told(near)} came.')
    if posterior is not None and near != "observed":
        raise ValueError('`posterior` is what to draw from with `near="observed"`. Leave it out, or set `near`.')
    if near == "observed" and not problem.observed:
        raise ValueError('`near="observed"` needs observed data, but the problem has none. Give it `observed=`.')
    check_deterministics(problem.views().structure, deterministics)
    if deterministics and problem.views().structure.draws_keys:
        raise ValueError(
            "`deterministics` needs a program with a density, but this one draws keys itself. Leave it out."
        )
    least = least_simulations(len(ranked_labels(problem, deterministics)), false_alarm)
    if not isinstance(num_simulations, int | np.integer) or num_simulations < least:
        raise ValueError(
            f"`calibrate` needs `num_simulations` of at least {least} at a false-alarm rate of {false_alarm:g}: the bands "
            f"of fewer would let gross errors pass. But {told(num_simulations)} came."
        )


def _fitted(problem: Problem, engine: Engine, folder: Path | None, running: Mapping[str, Any]) -> xr.DataTree:
    """The posterior of the observed data by the engine."""
    kept = None if folder is None else folder / "posterior"
    posterior = fit(problem, engine, checkpoint=kept, deterministics=False, **running)
    how = going_on(str(folder or ""))
    if posterior.attrs["status"] == "time limit reached":
        raise TimeoutError(f"The fit of the observed data did not end within the time limit. {how}")
    if posterior.attrs["status"] != "complete":
        raise KeyboardInterrupt(f"The fit of the observed data was interrupted. {how}")
    return posterior


def _simulations(
    problem: Problem, number: int, seed: int, posterior: xr.DataTree | None
) -> tuple[Problem, Batch, dict[str, np.ndarray], tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """The problem to fit, its data sets, their truths, from the prior or a posterior; and further parameters with data."""
    key = jax.random.key(seed)
    if posterior is None:
        theta, x = problem.simulate(number + NUM_REFERENCE, key=jax.random.fold_in(key, 1))
        target = problem
    else:
        draws = latent_draws(problem, posterior)
        have = len(next(iter(draws.values())))
        if have < 2 * number:
            raise ValueError(f"`posterior` has {have} draws, but {number} replicates need twice as many. Draw more.")
        theta = evenly(draws, min(have, number + NUM_REFERENCE))
        # Spread both the truths and the others over all chains.
        order = np.random.default_rng(seed).permutation(len(next(iter(theta.values()))))
        theta = {name: values[order] for name, values in theta.items()}
        x = replicates_at(problem, theta, jax.random.fold_in(key, 1))
        target = doubled(problem)
        x = {f"{REPLICATE}/{name}": values for name, values in x.items()}
    truths = {name: values[:number] for name, values in theta.items()}
    known = {n: v[number:] for n, v in theta.items()}, {n: v[number:] for n, v in x.items()}
    batch = target.batch(observed={name: values[:number] for name, values in x.items()})
    return target, batch, truths, known


def _references(
    target: Problem, batch: Batch, known: tuple[dict[str, np.ndarray], dict[str, np.ndarray]], seed: int
) -> dict[str, np.ndarray]:
    """For each simulation a place drawn like the truths, and an estimate from the data."""
    theta, x = known
    number = len(next(iter(theta.values())))
    # In rows as long as a pool, so that the function compiled for those serves.
    rows = np.resize(np.arange(number), (-(-number // (MAX_RANKED + 1)), MAX_RANKED + 1))
    members = {name: values[rows] for name, values in theta.items()}
    z = evaluated(batch, np.zeros(len(rows), int), members)["coordinates"].reshape(rows.size, -1)[:number]
    is_finite = np.isfinite(z).all(1)
    # What a mask leaves out no posterior knows, though simulations have values there.
    masks = observed_masks(target)
    counts = {name: masks.get(name, np.ones(values.shape[1:], bool)).ravel() for name, values in x.items()}
    flat = np.concatenate([x[name].reshape(number, -1)[:, n] for name, n in counts.items()], axis=1)
    observed = np.concatenate(
        [batch.data.observed[name].reshape(batch.size, -1)[:, n] for name, n in counts.items()], axis=1
    )
    chosen = np.random.default_rng(seed).choice(np.flatnonzero(is_finite), batch.size)
    return {
        "tarp": z[chosen],
        "tarp_data": estimates(flat[is_finite].astype(float), z[is_finite], observed.astype(float), seed),
    }
