"""A lens network: parameters of Euclid-like lenses from images in milliseconds, beside NUTS.

Images of 100 × 100 pixels with the point-spread function, noise and mask of a lens of Euclid's first quick release; 33
parameters: isothermal ellipsoid and shear, two Sérsic profiles for the lens's light and one for the source's, sky, two neighbours.
With one profile for the lens what it leaves of the real one is taken for the source. An ensemble of two
networks of rings with spline flows learns from 80,000 simulations: means in two epochs, posteriors in six more. Errors and coverages are of
256 fresh simulations; errors are in units of the prior's standard deviation, and so is the bound of Cramér and Rao, with the prior's
information, at the truths of 64 of them. LEMON's conference abstract quotes 9 ms a lens, for parameters
with errors; here a lens gets 1,000 draws of all parameters, or 300, which are enough for as much. NUTS has the exact likelihood of the pixels and starts from
Pathfinder, which starts from the network's draws: themselves they are hundreds of nats below the posterior, where trajectories
are as long as they may be. Its lenses are the real one, and the first of the simulated ones with a bright source and faint
neighbours: a bright one in the wrong place is a mode of its own. The environment variable LENS_NETWORK names a folder where bank and network are kept: with them there nothing is
trained. Simulations take five minutes on one core, training 1.7 ms an image, epoch and network: 35 minutes.
"""

import dataclasses
import itertools
import os
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import torch

from bayesastro import (
    NPE,
    NUTS,
    Amortised,
    Corrected,
    Pathfinder,
    Problem,
    cramer_rao,
    diagnose,
    fit,
    fit_many,
    simulate,
    summary,
)
from bayesastro.inference.neural.embeddings import PolarResNet
from bayesastro.models.lensing.examples import euclid_lens
from bayesastro.problem import Simulations
from benchmarks.report import Report

__all__ = ["LENS_PARAMETERS", "NUTS_ENGINE", "SETTINGS", "network", "run"]

NUM_SIMULATIONS, NUM_IMAGES, NUM_BOUNDS, NUM_DRAWS = 80_000, 256, 64, 1000

NUM_FOR_ERRORS = 300
"""Draws that tell parameters to 6 % of their errors, and errors to 4 %: what LEMON gives."""

SETTINGS = NPE(
    num_ensemble=2,
    regression_epochs=2,
    max_epochs=6,
    batch_size=64,
    learning_rate=1.5e-3,
    decay="cosine",
    embeddings={"image": PolarResNet()},
    transforms={"image": "sqrt"},
    cache_bytes=2**32,
)

PATHS = Pathfinder(num_paths=8, num_draws=100, num_elbo_draws=2, max_iterations=600, history=20, num_starts=25)

NUTS_ENGINE = NUTS(num_chains=2, num_warmup=300, num_draws=400, mass_matrix="hessian", target_accept=0.95)

LENS_PARAMETERS = ("theta_E", "lens_e1", "lens_e2", "gamma1", "gamma2", "light_magnitude", "source_x", "source_R")

SHOWN = (*LENS_PARAMETERS, "lens_x", "light_R", "light_n", "light_e1", "source_magnitude", "source_n", "source_e1")


def network(problem: Problem, num_simulations: int = NUM_SIMULATIONS, settings: NPE = SETTINGS) -> Amortised:
    """The trained ensemble: that in the folder LENS_NETWORK, or a new one."""
    kept = os.environ.get("LENS_NETWORK")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(kept or temporary)
        if (folder / "network").is_dir():
            return Amortised.load(folder / "network")
        bank = simulate(problem, num_simulations, seed=1, path=folder / "bank", precision="single")
        trained = settings.train(problem, bank, seed=1)
        if kept:
            trained.save(folder / "network")
        return trained


def draw_times(amortised: Amortised, images: np.ndarray) -> dict[tuple[int, int], float]:
    """Milliseconds an image, by number of draws and of threads; the best of three."""
    found, threads = {}, torch.get_num_threads()
    try:
        for num_draws, number in itertools.product((NUM_DRAWS, NUM_FOR_ERRORS), (1, 2)):
            torch.set_num_threads(number)
            seconds = []
            for _ in range(3):
                began = time.perf_counter()
                amortised.draw({"image": images}, num_draws, seed=1)
                seconds.append(time.perf_counter() - began)
            found[num_draws, number] = 1e3 * min(seconds) / len(images)
    finally:
        torch.set_num_threads(threads)
    return found


def errors(amortised: Amortised, problem: Problem, simulated: Simulations) -> str:
    """Errors, their sizes as stated, coverages, and what share of the variance is between the networks, in Markdown."""
    engine = dataclasses.replace(amortised, num_chains=1, num_draws=NUM_DRAWS)
    posterior = fit_many(problem, simulated.observables, engine, seed=1, progress=False)["posterior"]
    is_ensemble = len(amortised.posterior.members) > 1
    parts = amortised.variances(problem, simulated.observables, seed=1).sum("dataset") if is_ensemble else None
    lines = ["| parameter | rms error | median stated sd | median bound | 68 % | 95 % | epistemic share |"]
    lines.append("|" + " --- |" * 7)
    truths = [{name: values[i] for name, values in simulated.parameters.items()} for i in range(NUM_BOUNDS)]
    bounds = [cramer_rao(problem, truth, names=SHOWN)["with_prior"] for truth in truths]
    for name in SHOWN:
        truth, draws = simulated.parameters[name], posterior[name].values[:, 0]
        prior = np.std(truth)
        rank = (draws < truth[:, None]).mean(1)
        covered = (f"{np.mean(np.abs(rank - 0.5) < 0.5 * level):.2f}" for level in (0.68, 0.95))
        size = (np.sqrt(np.mean((draws.mean(1) - truth) ** 2)), np.median(draws.std(1)))
        share = np.nan if parts is None else float(parts[name].sel(part="epistemic") / parts[name].sum("part"))
        cells = (
            name,
            *(f"{value / prior:.2f}" for value in size),
            f"{np.median([bound[name] for bound in bounds]) / prior:.2f}",
            *covered,
            f"{share:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def clear_lens(simulated: Simulations) -> np.ndarray:
    """The first image of a bright source with faint neighbours."""
    drawn = simulated.parameters
    is_clear = (drawn["source_magnitude"] < 24.0) & (drawn["companion_gap"][:, 0] > 3.5) & (drawn["theta_E"] > 0.8)
    return simulated.observables["image"][np.flatnonzero(is_clear)[0]]


def run() -> Report:
    """The tables in Markdown."""
    problem = euclid_lens()
    amortised = network(problem)
    simulated = problem.simulate(NUM_IMAGES, key=jax.random.key(7))
    times = draw_times(amortised, simulated.observables["image"])
    lines = ["| what | time a lens |", "| --- | --- |"]
    lines += [f"| network, {n:,} draws, {threads} thread(s) | {ms:.1f} ms |" for (n, threads), ms in times.items()]
    lines.append("| LEMON, as quoted | 9 ms |")
    lines += ["", errors(amortised, problem, simulated), "", "| what | time |", "| --- | --- |"]
    table = ["", "| lens | parameter | network | NUTS |", "| --- | --- | --- | --- |"]
    lenses = {"simulated": problem.replace(observed={"image": clear_lens(simulated)}), "real": problem}
    for name, one in lenses.items():
        fast = fit(one, dataclasses.replace(amortised, num_draws=250), seed=1, progress=False)
        began = time.perf_counter()
        weighed = fit(one, Corrected(amortised, num_proposals=10_000), seed=1, progress=False)
        figures = f"ESS {weighed.attrs['ess']:.1f} of 10,000, k̂ {weighed.attrs['khat']:.2f}"
        lines.append(f"| network corrected, {name}: {figures} | {time.perf_counter() - began:.0f} s |")
        began = time.perf_counter()
        paths = fit(one, PATHS, start=fast, seed=3, progress=False)
        exact = fit(one, NUTS_ENGINE, start=paths, seed=2, precision="single", progress=False)
        found = f"R̂ {float(summary(exact)['r_hat'].max()):.3f}, {len(diagnose(exact))} findings"
        lines.append(f"| Pathfinder and NUTS, {name}: {found} | {time.perf_counter() - began:.0f} s |")
        for site in LENS_PARAMETERS:
            cells = (
                f"{float(r['posterior'][site].mean()):.3f} ± {float(r['posterior'][site].std()):.3f}"
                for r in (fast, exact)
            )
            table.append(f"| {name} | {site} | {' | '.join(cells)} |")
    return Report("\n".join(lines + table))
