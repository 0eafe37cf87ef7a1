"""The 63 SLACS lenses with HST images: Einstein radii beside the published ones, by `fit_many`.

Every lens has the same program: an isothermal ellipsoid without shear, as for the published radii, two Sérsic sources of positive
brightness, smooth lens light integrated out. With shear fits are better by some ten or a hundred nats, and radii differ from the
published ones by up to 7 % with what of the shear is along the ellipse. Its posterior has many modes, hundreds of nats apart,
which twelve of Pathfinder's paths look for, each from the best of a thousand draws of the prior, with one ray for each pixel.
A lens is searched twice, and again as long as the two searches with the greatest evidence lower bounds differ by more than 2 %
in Einstein radius; the best is taken, and lenses that remain unsettled are said to. With four rays the mode moves, by two of
Pathfinder's paths, from which NUTS starts, in single precision. Lenses of which R̂ is not below 1.02 then are sampled for
four times as long, from draws of the chain of the highest density, and of those that come within ten nats of it. Each is a
call of `fit_many`. The published radii, of which none of this knows, are those of Bolton et
al. (2008, ApJ 682, 964). The environment variable SLACS_FITS names a folder where finished fits are kept, from which the next
call goes on; SLACS_LENSES picks some, by names between commas.
"""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import arviz_stats
import numpy as np
import xarray as xr

from bayesastro import NUTS, Pathfinder, fit_many
from bayesastro.datasets.slacs import SLACSLens, slacs_lenses
from bayesastro.inference.engine import Engine
from bayesastro.models.lensing.slacs import slacs_problem
from bayesastro.precision import Precision
from benchmarks.data_folder import data_folder
from benchmarks.report import Report

__all__ = ["Sampled", "is_settled", "lenses", "run", "sampled", "searched"]

PATHS = Pathfinder(num_paths=12, num_draws=50, num_elbo_draws=2, num_starts=1000, max_iterations=250, history=15)
"""Modes are hundreds of nats apart: many paths, of which the draws of the best are taken."""

ENGINE = NUTS(num_chains=2, num_warmup=200, num_draws=400, mass_matrix="dense", max_tree_depth=6, num_starts=60)
"""Trajectories of most lenses have 15 leapfrog steps, none more than 31; those of a chain that climbs would have 1023."""

REFINED = Pathfinder(
    num_paths=2, num_draws=100, num_elbo_draws=2, num_starts=20, max_iterations=250, history=15, psis_resample=False
)
"""From the best search on, with the rays of NUTS: the mode moves, and the first mass matrix wants draws of some spread."""

LONGER = dataclasses.replace(ENGINE, num_warmup=400, num_draws=1600)
"""For lenses whose chains do not agree."""

COMPARABLE = 10.0
"""Nats that chains are apart at most, in the mean, from which a longer run starts; a mode further below has no weight."""

R_HAT = 1.02

MAX_SEARCHES = 6

SETTLED = 0.02
"""Relative difference of Einstein radii, of the two best searches."""

MASS: Any = {"mass": "isothermal", "shear": False}
"""Of Bolton et al.'s models."""


def lenses() -> dict[str, SLACSLens]:
    """Those of the data folder; the environment variable SLACS_LENSES picks some, by names between commas."""
    found = slacs_lenses(data_folder() / "lens_slacs63_hst")
    names = os.environ.get("SLACS_LENSES")
    return {name: found[name] for name in names.split(",")} if names else found


def fitted(
    chosen: dict[str, SLACSLens],
    supersampling: int,
    engine: Engine,
    seed: int,
    precision: Precision,
    start: xr.DataTree | None = None,
) -> tuple[xr.DataTree, float]:
    """All lenses by an engine, and seconds of the processor for each."""
    kept = os.environ.get("SLACS_FITS")
    checkpoint = Path(kept) / f"{type(engine).__name__}-{seed}" if kept else None
    problems = [slacs_problem(lens, **MASS, supersampling=supersampling) for lens in chosen.values()]
    first = problems[0]
    stacked = {name: np.stack([p.covariates[name] for p in problems]) for name in first.covariates}
    batch = first.batch(stacked, observed={"image": [p.observed["image"] for p in problems]})
    began = time.process_time()
    result = fit_many(first, batch, engine, seed=seed, chunk=1, start=start, precision=precision, checkpoint=checkpoint)
    return result, (time.process_time() - began) / len(chosen)


class Search(NamedTuple):
    """One lens's best mode of one search."""

    elbo: float
    posterior: xr.Dataset

    @property
    def radius(self) -> float:
        return float(self.posterior["theta_E"].mean())


def is_settled(searches: list[Search]) -> bool:
    """Whether the two best of the searches, which are sorted, agree."""
    return len(searches) > 1 and abs(searches[0].radius / searches[1].radius - 1) < SETTLED


def searched(chosen: dict[str, SLACSLens]) -> tuple[dict[str, list[Search]], float]:
    """For each lens its searches, the best first; and seconds of the processor for each lens."""
    found: dict[str, list[Search]] = {name: [] for name in chosen}
    spent = 0.0
    for seed in range(1, MAX_SEARCHES + 1):
        left = {name: lens for name, lens in chosen.items() if not is_settled(found[name])}
        if not left:
            break
        result, seconds = fitted(left, 1, PATHS, seed, "double")
        spent += seconds * len(left) / len(chosen)
        elbo, posterior = (
            np.nan_to_num(result["fits"].to_dataset()["elbo"].values, nan=-np.inf),
            result["posterior"].to_dataset(),
        )
        for i, name in enumerate(left):
            searches = [*found[name], Search(float(elbo[i]), posterior.isel(dataset=[i]))]
            found[name] = sorted(searches, key=lambda search: -search.elbo)
    return found, spent


class Sampled(NamedTuple):
    """Draws of one lens."""

    posterior: xr.Dataset
    r_hat: float
    """The greatest of all variables."""
    diverging: float
    """Share of the draws."""
    is_longer: bool


def sampled(
    chosen: dict[str, SLACSLens], found: dict[str, list[Search]], *, r_hat: float = R_HAT
) -> tuple[dict[str, Sampled], tuple[float, float]]:
    """NUTS of every lens from its best search, again where R̂ is not below `r_hat`; and seconds of the processor for each
    lens, of refining and of sampling.
    """
    best = xr.concat([found[name][0].posterior for name in chosen], "dataset")
    start = xr.DataTree.from_dict({"posterior": best})
    refined, refining = fitted(chosen, 2, REFINED, MAX_SEARCHES + 1, "double", start)
    result, sampling = fitted(chosen, 2, ENGINE, 1, "single", refined)
    draws = {name: _sampled(result, i, is_longer=False) for i, name in enumerate(chosen)}
    left = {name: lens for name, lens in chosen.items() if not draws[name].r_hat < r_hat}
    if left:
        which = [list(chosen).index(name) for name in left]
        start = xr.DataTree.from_dict({"posterior": comparable(result).isel(dataset=which)})
        result, seconds = fitted(left, 2, LONGER, 2, "single", start)
        draws |= {name: _sampled(result, i, is_longer=True) for i, name in enumerate(left)}
        sampling += seconds * len(left) / len(chosen)
    return draws, (refining, sampling)


def comparable(result: xr.DataTree) -> xr.Dataset:
    """Draws of each lens's chain of the highest log-density, and of others unless they are far below; then the best again."""
    log_density = result["sample_stats"]["lp"].mean("draw")
    best, numbers = log_density.argmax("chain"), xr.DataArray(np.arange(log_density.sizes["chain"]), dims="chain")
    taken = xr.where(log_density > log_density.max("chain") - COMPARABLE, numbers, best)
    return result["posterior"].to_dataset().isel(chain=taken.transpose("dataset", "chain"))


def _sampled(result: xr.DataTree, number: int, *, is_longer: bool) -> Sampled:
    posterior = result["posterior"].to_dataset().isel(dataset=number)
    diverging = float(result["sample_stats"]["diverging"].isel(dataset=number).mean())
    return Sampled(posterior, float(arviz_stats.rhat(posterior).to_array().max()), diverging, is_longer)


def run() -> Report:
    """The table, in Markdown."""
    chosen = lenses()
    found, searching = searched(chosen)
    draws, (refining, sampling) = sampled(chosen, found)
    lines = ["| lens | published θ_E | θ_E | off by | q | searches | R̂ |", "|---|---|---|---|---|---|---|"]
    off = []
    for name, lens in chosen.items():
        posterior, r_hat, _, is_longer = draws[name]
        mean, sd = float(posterior["theta_E"].mean()), float(posterior["theta_E"].std())
        off.append(mean / lens.b_SIE - 1)
        tried = f"{len(found[name])}{'' if is_settled(found[name]) else ', unsettled'}"
        lines.append(
            f"| {name} | {lens.b_SIE:.2f} | {mean:.3f} ± {sd:.3f} | {100 * off[-1]:+.1f} % | "
            f"{float(posterior['lens_q'].mean()):.2f} | {tried} | {r_hat:.3f}{', longer' if is_longer else ''} |"
        )
    within, mixed = np.mean(np.abs(off) < 0.05), np.mean([one.r_hat < R_HAT for one in draws.values()])
    settled = np.mean([is_settled(searches) for searches in found.values()])
    last = (
        f"{100 * within:.0f} % of {len(off)} within 5 %; searches of {100 * settled:.0f} % agree; R̂ below {R_HAT} for "
        f"{100 * mixed:.0f} %. For each lens {searching + refining:.0f} processor seconds for the searches and {sampling:.0f} for "
        "NUTS, compiling included."
    )
    return Report("\n".join([*lines, "", last]))
