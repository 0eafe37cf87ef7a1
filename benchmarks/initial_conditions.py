"""Initial conditions from galaxies: NUTS, MCLMC and adjusted MCLMC in gradients for each effective sample.

Galaxies of the program itself in a box of 320 Mpc/h, 10⁻³ (h/Mpc)³ of them at a = 0.5, in redshift space; unknown are all modes,
Ω_m, σ₈ and four biases. Gradients are those after the warm-up; effective samples are the smallest of cosmology and bias, and
the median of modes. Coordinates are those of `fields.initial_conditions`: *centred* on linear theory's posterior,
*scaled* by its spread, or *white*. Pulls are distances of the true modes from their means in sds. Another size, and the first
few runs alone: ``python -m benchmarks.initial_conditions CELLS BOX RUNS``.

All runs start from draws with cosmology and bias held near the means of their priors. Without, a chain from the prior may
find random modes worse than none, turn σ₈ off and stay there: on 32³ one of two did.
"""

import sys
import time
from typing import Any

import arviz_stats as azs
import numpy as np

from bayesastro import MCLMC, NUTS, fit
from bayesastro.inference.engine import Engine
from bayesastro.models.fields import initial_conditions
from bayesastro.models.fields.examples import GALAXIES, galaxies
from bayesastro.simulators.fields import regular_grid
from benchmarks.report import Report

__all__ = ["run"]

CELLS, BOX = 16, 320.0
"""Cells along a side, and its length in Mpc/h."""

NUM_MODES = 300
"""Modes whose effective samples are counted, drawn at random."""

START = MCLMC(num_chains=2, num_warmup=1000, num_draws=50)

HELD = 0.02
"""Spread of cosmology and bias, in units of their priors' own, of the run that the others start from."""

RUNS: tuple[tuple[str, Engine, Any], ...] = (
    ("MCLMC", MCLMC(num_chains=2, num_warmup=4000, num_draws=400), "centred"),
    ("MCLMC, adjusted", MCLMC(num_chains=2, num_warmup=300, num_draws=300, adjusted=True), "centred"),
    ("NUTS", NUTS(num_chains=2, num_warmup=200, num_draws=200), "centred"),
    ("MCLMC", MCLMC(num_chains=2, num_warmup=4000, num_draws=400), "scaled"),
    ("MCLMC", MCLMC(num_chains=2, num_warmup=4000, num_draws=400), "white"),
)


def gradients_of_draws(result: Any) -> int:
    """Of all chains, without those of the warm-up."""
    stats = result["sample_stats"]
    if "tree_depth" in stats:
        return int(stats["n_steps"].sum())
    if "n_steps" in stats:
        return 2 * int(stats["n_steps"].sum())
    return 2 * stats.sizes["draw"] * int(np.sum(result.attrs["thin"]))


def effective(result: Any) -> tuple[float, str, float, float]:
    """Effective samples of the worst of cosmology and bias, which it is, and of the median mode; the largest R̂ of the former."""
    posterior = result["posterior"]
    ess = {name: float(azs.ess(posterior[name].values)) for name in GALAXIES}
    worst = min(ess, key=lambda name: ess[name])
    modes = posterior["modes"].values.reshape(*posterior["modes"].shape[:2], -1)
    chosen = np.random.default_rng(1).choice(modes.shape[-1], NUM_MODES, replace=False)
    median = float(np.median([float(azs.ess(modes[..., i])) for i in chosen]))
    r_hat = max(float(azs.rhat(posterior[name].values)) for name in GALAXIES)
    return ess[worst], worst, median, r_hat


def of_the_truth(result: Any, modes: np.ndarray, box: float) -> tuple[float, float]:
    """Correlation of the posterior's mean with the true modes longer than 60 Mpc/h; root mean square of all pulls."""
    draws = result["posterior"]["modes"].values
    mean, sd = draws.mean((0, 1)), draws.std((0, 1))
    grid = regular_grid(modes.shape, box / len(modes))
    is_long = (grid.mode_length[grid.mode_index] < 1 / 60.0) & (grid.mode_index > 0)
    both = np.vdot(mean[is_long], modes[is_long])
    r = both / np.linalg.norm(mean[is_long]) / np.linalg.norm(modes[is_long])
    return float(r), float(np.sqrt(np.mean(((modes - mean) / sd) ** 2)))


def row(
    name: str, engine: Engine, coordinates: Any, density: np.ndarray, modes: np.ndarray, box: float, start: Any
) -> str:
    """A line of the table."""
    problem = initial_conditions.build(density, box, 1e-3, coordinates=coordinates)
    began = time.process_time()
    result = fit(problem, engine, seed=1, start=start, progress=False)
    seconds = time.process_time() - began
    gradients, (least, worst, median, r_hat) = gradients_of_draws(result), effective(result)
    r, pulls = of_the_truth(result, modes, box)
    return (
        f"| {name} | {coordinates} | {gradients} | {gradients / least:.3g} ({worst}) | {gradients / median:.3g} "
        f"| {r_hat:.3f} | {r:.3f} | {pulls:.3f} | {result.attrs['num_gradients']} | {seconds:.0f} |"
    )


def run(cells: int = CELLS, box: float = BOX, num_runs: int = len(RUNS)) -> Report:
    """The table, in Markdown."""
    density, modes = galaxies(cells, box)
    held = {name: (mean, HELD * sd) for name, (mean, sd) in initial_conditions.PRIORS.items()}
    start = fit(initial_conditions.build(density, box, 1e-3, priors=held), START, seed=1, progress=False)
    lines = [
        f"| {cells}³ in {box:.0f} Mpc/h | coordinates | gradients of draws | for an effective sample: worst parameter | median mode | R̂ of "
        "parameters | r of long modes | pulls | gradients with warm-up | processor seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name, engine, coordinates in RUNS[:num_runs]:
        lines.append(row(name, engine, coordinates, density, modes, box, start))
        print(lines[-1], flush=True)
    return Report("\n".join(lines))


if __name__ == "__main__":
    run(int(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:]))
