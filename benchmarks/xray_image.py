"""X-ray images scored on counts held out, beside Richardson-Lucy: Abell 1835 by XMM-Newton, Sgr A* by Chandra twice.

Of every count it is decided by lot, with probability 0.8, whether it is fitted; the others are held out. A method's score is
the sum over pixels of the logarithm of the Poisson probability of the counts held out (for GeoVI the mean of that probability
over its draws); in the table scores are relative to GeoVI's, with the standard error of the difference over pixels.
Richardson-Lucy is stopped after that number of iterations which scores best on the counts held out themselves: no user could
do so well. It comes as scikit-image has it, which knows no exposure map and one image (of Sgr A*, the sum of both, with the mean
of their point-spread functions), and as the same iteration with exposures and both observations, written out. *Counts*: those
fitted, smoothed by the Gaussian whose width scores best. Seconds are of the processor, on one core, for GeoVI with compiling.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import ndimage, signal
from skimage import restoration

import bayesastro as ba
from bayesastro.models.fields import xray_image
from bayesastro.models.fields.bright_points import bright_points
from bayesastro.models.fields.examples import abell_1835_settings, sagittarius_a_settings
from bayesastro.thinning import thinned, thinned_score
from benchmarks.report import Report

__all__ = ["Images", "engine", "run"]

KEPT = 0.8
MAX_ITERATIONS = 200
"""Of Richardson-Lucy; the best number is far below."""

Images = dict[str, Any]
"""Arguments of :func:`bayesastro.models.fields.xray_image.build`."""


def engine(num_iterations: int = 6, num_draws: int = 40) -> ba.GeoVI:
    """For images: most unknowns are as the prior has them, so that the tolerance, a mean over all, must be small."""
    return ba.GeoVI(
        num_iterations=num_iterations,
        num_samples=2,
        num_draws=num_draws,
        tolerance=0.002,
        max_cg_iterations=200,
        max_sampling_newton=5,
        max_newton=15,
    )


def fitted(images: Images, engine: ba.GeoVI, seed: int) -> tuple[ba.Problem, Any]:
    """The problem, and its fit, started at the bright points."""
    problem = xray_image.build(**images)
    start = ba.start_from(problem, bright_points(problem), seed=seed)
    return problem, ba.fit(problem, engine, seed=seed, start=start, progress=False)


def richardson_lucy(counts: np.ndarray, exposure: np.ndarray, psf: np.ndarray) -> Iterator[np.ndarray]:
    """Expected counts after each iteration, with exposures, of several observations; shapes (o, ny, nx) and (o, py, px)."""

    def spread(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return np.maximum(signal.fftconvolve(image, kernel, mode="same"), 1e-12)

    weight = sum(spread(time, kernel[::-1, ::-1]) for time, kernel in zip(exposure, psf, strict=True))
    sky = np.full(counts.shape[1:], counts.sum() / exposure.sum())
    while True:
        expected = exposure * np.stack([spread(sky, kernel) for kernel in psf])
        yield expected
        ratio = np.where(exposure > 0, counts / np.where(exposure > 0, expected, 1.0), 0.0)
        back = zip(exposure * ratio, psf, strict=True)
        sky = sky * sum(spread(image, kernel[::-1, ::-1]) for image, kernel in back) / weight


def of_scikit_image(counts: np.ndarray, psf: np.ndarray) -> Iterator[np.ndarray]:
    """Expected counts of the sum of the observations; the number of iterations grows as ever fewer change anything."""
    total, kernel = counts.sum(0).astype(float), psf.mean(0)
    for number in np.unique(np.geomspace(1, MAX_ITERATIONS, 25).astype(int)):
        sky = restoration.richardson_lucy(total, kernel, num_iter=int(number), clip=False, filter_epsilon=1e-12)
        yield signal.fftconvolve(sky, kernel, mode="same")[None]


def smoothed(counts: np.ndarray, exposure: np.ndarray) -> Iterator[np.ndarray]:
    """Counts over exposure, both smoothed ever more."""
    for width in np.geomspace(0.5, 8.0, 15):
        rate = [
            ndimage.gaussian_filter(seen.astype(float), width) / np.maximum(ndimage.gaussian_filter(time, width), 1e-9)
            for seen, time in zip(counts, exposure, strict=True)
        ]
        yield exposure * np.stack(rate)


def best_of(expected: Iterator[np.ndarray], score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Scores by pixel where they are best in all, over at most `MAX_ITERATIONS`; five worse ones in a row end it."""
    best, worse = None, 0
    for _, found in zip(range(MAX_ITERATIONS), expected, strict=False):
        now = score(np.maximum(found, 1e-6))
        if best is None or now.sum() > best.sum():
            best, worse = now, 0
        elif (worse := worse + 1) == 5:
            break
    assert best is not None
    return best


def rows(name: str, images: Images) -> list[str]:
    """Of one sky."""
    kept, held_out = thinned(images["counts"], KEPT, seed=1)
    began = time.process_time()
    exposure = np.asarray(images["exposure"]) * KEPT
    minimum = KEPT * images.get("min_exposure", 0.0)
    training = images | {"counts": kept, "exposure": exposure, "min_exposure": minimum}
    problem, result = fitted(training, engine(), 1)
    seconds = time.process_time() - began
    margin = images["margin"]
    inside = (slice(None), slice(None), 0, slice(margin, -margin), slice(margin, -margin))
    draws = result["posterior"]["expected"].values.reshape(-1, *problem.observed["counts"].shape)[inside]
    kept, held_out, exposure, psf = (
        np.reshape(a, (-1, *np.shape(a)[-2:])) for a in (kept, held_out, exposure, images["psf"])
    )
    exposure = np.where(exposure >= max(minimum, 1e-300), exposure, 0.0)
    seen = exposure > 0
    kept, held_out = np.where(seen, kept, 0), np.where(seen, held_out, 0)

    def score(expected: np.ndarray) -> np.ndarray:
        return thinned_score(held_out[seen], expected[..., seen], KEPT)

    def score_of_sum(expected: np.ndarray) -> np.ndarray:
        return thinned_score(held_out.sum(0)[seen.all(0)], expected.sum(-3)[..., seen.all(0)], KEPT)

    ours = {"one by one": score(draws), "summed": score_of_sum(draws)}
    psf = np.broadcast_to(psf, (len(kept), *psf.shape[1:]))
    theirs = [
        ("Richardson-Lucy with exposures", "one by one", lambda: best_of(richardson_lucy(kept, exposure, psf), score)),
        ("scikit-image", "summed", lambda: best_of(of_scikit_image(kept, psf), score_of_sum)),
        ("counts, smoothed", "one by one", lambda: best_of(smoothed(kept, exposure), score)),
    ]
    number = held_out[seen].sum()
    lines = [
        f"| {name}, {'x'.join(map(str, kept.shape[1:]))} | GeoVI | {ours['one by one'].sum():.0f} | | | {seconds:.0f} |"
    ]
    for label, kind, run_peer in theirs:
        began = time.process_time()
        difference = run_peer() - ours[kind]
        seconds = time.process_time() - began
        error = difference.std() * np.sqrt(difference.size)
        lines.append(
            f"| | {label} | | {difference.sum():.0f} ± {error:.0f} | {difference.sum() / number:.3f} | {seconds:.1f} |"
        )
    return lines


def run() -> Report:
    """The table, in Markdown."""
    lines = [
        "| image | method | score | less than GeoVI's | by count held out | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, images in (("A1835", abell_1835_settings()), ("Sgr A*", sagittarius_a_settings())):
        lines += rows(name, images)
        print("\n".join(lines[-4:]), flush=True)
    return Report("\n".join(lines))
