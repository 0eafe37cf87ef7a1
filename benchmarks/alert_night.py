"""A night of alerts: transients fitted each for itself, and what a million would cost.

24 simulated supernovae of 32 exposures in two bands, detected or not, under the broad prior of any supernova (15
numbers). `Sequential` follows each from its first datum to its last, with a prediction of every datum; "one more datum"
goes on from particles kept from the night before, which is what an alert needs. The engines go through `fit_many`. Times
are the process's CPU seconds of the second call, when all is compiled, so that other work on the machine does not count;
a core hour is 3600 of them. Errors are of posterior means against a long run of `Sequential` (1000 particles,
three moves), in posterior standard deviations: root mean square over supernovae and numbers, where two runs of as many
independent draws as the row has would differ by 1/√draws.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bayesastro import NUTS, SMC, Pathfinder, Problem, fit_many
from bayesastro.batch import Batch
from bayesastro.inference.sequential import Sequential
from bayesastro.models.lightcurves.transient import BROAD, program
from benchmarks.report import Report

__all__ = ["run"]

NUM, LENGTH, NIGHT = 24, 32, 1_000_000


def light_curves() -> tuple[Problem, Batch]:
    """Fluxes from the program itself, each with its own exposures."""
    rng = np.random.default_rng(0)
    time_ = np.sort(rng.uniform(-10.0, 70.0, (NUM, LENGTH)), axis=1)
    band, sigma = rng.integers(0, 2, (NUM, LENGTH)), rng.uniform(3.0, 6.0, (NUM, LENGTH))
    law = np.asarray(BROAD.mean), np.linalg.cholesky(BROAD.covariance)
    real, flux, first = np.ones(LENGTH, bool), np.zeros((NUM, LENGTH)), None
    for i in range(NUM):
        problem = Problem(
            program, time_[i], band[i], sigma[i], 5 * sigma[i], real, *law, observed={"flux": np.zeros(LENGTH)}
        )
        first = first or problem
        draws = problem.simulate(20, key=jax.random.key(i)).observables["flux"]
        seen = np.flatnonzero((draws > 0).sum(axis=1) >= 2)  # what is never detected is no alert
        flux[i] = draws[seen[0] if len(seen) else 0]
    columns = {"time": time_, "band": band, "sigma": sigma, "limit": 5 * sigma}
    assert first is not None
    return first, first.batch(observed={"flux": flux}, **columns)


def timed(call: Callable[[int], Any]) -> tuple[float, Any]:
    """CPU seconds of the second call, and what it gave."""
    call(1)
    began = time.process_time()
    found = call(2)
    return time.process_time() - began, found


def run() -> Report:
    """The table, in Markdown."""
    problem, batch = light_curves()
    group = np.tile(np.arange(LENGTH), (NUM, 1))
    long = Sequential(num_particles=1000).follow_many(batch, np.zeros_like(group), seed=9, chunk=1)["coordinates"]
    centre, spread = long.mean("particle").to_numpy(), long.std("particle").to_numpy()
    lines = ["| how | CPU s for 24 | fits per second and core | error | core hours for 10⁶ |", "|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)

    def row(name: str, seconds: float, draws: np.ndarray) -> None:
        off = (draws.mean(axis=1) - centre) / spread
        error = np.sqrt(np.nanmean(off**2))
        lines.append(
            f"| {name} | {seconds:.1f} | {NUM / seconds:.1f} | {error:.2f} | {seconds / NUM * NIGHT / 3600:.0f} |"
        )
        print(lines[-1], flush=True)

    for moves in (1, 3):
        settings = Sequential(num_particles=300, num_moves=moves)
        seconds, found = timed(lambda seed, s=settings: s.follow_many(batch, group, seed=seed, chunk=1))
        row(f"`Sequential`, 300 particles, `num_moves={moves}`", seconds, found["coordinates"].to_numpy())
    settings = Sequential(num_particles=300, num_moves=1)
    known = settings.follow_many(batch, np.where(group < LENGTH - 1, group, -1), seed=3, chunk=1)
    last = np.where(group < LENGTH - 1, -2, 0)
    seconds, found = timed(lambda seed: settings.follow_many(batch, last, seed=seed, chunk=1, start=known))
    row("`Sequential`, one more datum", seconds, found["coordinates"].to_numpy())
    engines = {
        "`fit_many`, `NUTS`, 400 + 400": NUTS(num_chains=1, num_warmup=400, num_draws=400),
        "`fit_many`, `SMC`, 4 × 100": SMC(num_islands=4, num_particles=100),
        "`fit_many`, `Pathfinder`": Pathfinder(),
    }
    for name, engine in engines.items():
        seconds, result = timed(lambda seed, e=engine: fit_many(problem, batch, e, seed=seed, progress=False))
        draws = result["posterior"]["shape"].to_numpy()
        row(name, seconds, draws.reshape(NUM, -1, draws.shape[-1]))
    return Report("\n".join(lines))
