"""X-ray images in three bands: one band first, whose posterior starts the fit of all, beside all from the beginning.

A sky of diffuse emission with a field of spectral indices, and point sources, is drawn from the program as the bands of Westerkamp
et al. 2024 see it (0.5 to 1.2, 1.2 to 2 and 2 to 7 keV; 48 x 48 pixels, vignetting, a King profile that widens with
energy). Of its counts 80 % are fitted; the score is the logarithm of the predictive probability of the others, relative to the
highest of all rows (nats). Each row is one more iteration of GeoVI, which starts from the row before, with 8 draws for
the score. Both ways start at the bright points; *staged* has iterations of the middle band alone first, whose latents
`start_from` hands on, while the spectral indices start from the prior. Seconds are of the processor, on one core, added up,
without compiling.
"""

import time
from typing import Any

import jax
import numpy as np

import bayesastro as ba
from bayesastro.models.fields import xray_image
from bayesastro.models.fields.bright_points import bright_points
from bayesastro.simulators.instruments import king_psf
from bayesastro.thinning import thinned, thinned_score
from benchmarks.report import Report

__all__ = ["run", "three_bands"]

SIZE, KEPT, MARGIN = 48, 0.8, 7
ENERGIES = np.sqrt([0.5 * 1.2, 1.2 * 2.0, 2.0 * 7.0]) / np.sqrt(1.2 * 2.0)
MIDDLE = 1
NUM_ITERATIONS, NUM_FIRST = 5, 3
ENGINE = ba.GeoVI(
    num_iterations=1,
    num_samples=2,
    num_draws=8,
    tolerance=0.005,
    max_cg_iterations=60,
    max_sampling_newton=2,
    max_newton=10,
)
KNOWN: dict[str, dict[str, Any]] = {
    "diffuse": {"offset_sd": 0.1, "fluctuations": 1.0, "slope": -2.0, "flexibility": None},
    "index": {"offset_mean": -1.3, "offset_sd": 0.1, "fluctuations": 0.3, "slope": -2.5},
}
"""Of the sky that is drawn; to the fit they are unknown."""


def three_bands(seed: int = 1) -> dict[str, Any]:
    """Arguments of :func:`bayesastro.models.fields.xray_image.build`, with counts drawn."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    vignetting = 1 - 1.2 * (x**2 + y**2)
    exposure = np.array([1.0, 1.2, 0.8])[:, None, None] * 4.0 * vignetting
    exposure[:, 23:25] = 0.0  # a gap between chips
    made = {
        "exposure": exposure[None],
        "psf": np.stack([king_psf(15, 1.0, width, 1.8) for width in (1.2, 1.4, 1.8)])[None],
        "pixel_size": 1.0,
        "energies": ENERGIES,
        "points": (1.5, 0.01),
        "mean_flux": 1.0,
        "margin": MARGIN,
    }
    nothing = np.zeros((1, 3, SIZE, SIZE), int)
    drawn = xray_image.build(nothing, **made, **KNOWN).simulate(1, key=jax.random.key(seed)).observables["counts"][0]
    counts = drawn[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return made | {"counts": np.where(exposure > 0, counts, 0), "index": {"offset_mean": -1.3}}


def band(images: dict[str, Any], number: int) -> dict[str, Any]:
    """The arguments of one band alone."""
    one = {name: np.asarray(images[name])[:, number : number + 1] for name in ("counts", "exposure", "psf")}
    return images | one | {"energies": images["energies"][number : number + 1]}


def iterated(
    problem: ba.Problem, start: Any, number: int, held_out: np.ndarray | None
) -> list[tuple[float, float, Any]]:
    """Seconds and score after each iteration, and the result."""
    rows, seen = [], problem.covariates["exposure"] > 0
    for seed in range(number + 1):  # the first compiles, and is forgotten
        began = time.process_time()
        result = ba.fit(problem, ENGINE, seed=seed, start=start, progress=False, deterministics="expected")
        seconds = time.process_time() - began
        if seed == 0:
            continue
        draws = result["posterior"]["expected"].values[0][:, seen]
        score = np.nan if held_out is None else thinned_score(held_out[seen], draws, KEPT).sum()
        rows.append((seconds, float(score), result))
        print(f"iteration {seed}: {seconds:.1f} seconds, score {score:.1f}", flush=True)
        start = result
    return rows


def run() -> Report:
    """The table, in Markdown."""
    images = three_bands()
    kept, held_out = thinned(images["counts"], KEPT, seed=1)
    held_out = np.pad(held_out, ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    training = images | {"counts": kept, "exposure": KEPT * images["exposure"]}
    problem, first = xray_image.build(**training), xray_image.build(**band(training, MIDDLE))
    direct = iterated(problem, ba.start_from(problem, bright_points(problem), seed=1, num=8), NUM_ITERATIONS, held_out)
    before = iterated(first, ba.start_from(first, bright_points(first), seed=1, num=8), NUM_FIRST, None)
    spent = sum(seconds for seconds, _, _ in before)
    staged = iterated(problem, ba.start_from(problem, before[-1][2], seed=1, num=8), NUM_ITERATIONS, held_out)
    best = max(score for _, score, _ in direct + staged)
    lines = [
        f"The first stage: {NUM_FIRST} iterations, {spent:.1f} seconds.",
        "",
        "| iteration of all bands | direct: seconds | score | staged: seconds, with the first | score |",
        "|---|---|---|---|---|",
    ]
    totals = [np.cumsum([seconds for seconds, _, _ in rows]) for rows in (direct, staged)]
    for i in range(NUM_ITERATIONS):
        lines.append(
            f"| {i + 1} | {totals[0][i]:.1f} | {direct[i][1] - best:.1f} | {spent + totals[1][i]:.1f} "
            f"| {staged[i][1] - best:.1f} |"
        )
    print("\n".join(lines), flush=True)
    return Report("\n".join(lines))
