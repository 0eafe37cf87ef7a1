"""Neural posteriors: 1,000 draws for each of many images of 48 × 48 pixels, 14 parameters.

The residual network summarises an image in 32 numbers, once; five transforms of hidden width 64 (a mixture: ten normals)
then make its draws. Times are of `Amortised.draw`, from images to coordinates, best of three, on one thread and, where there are
two cores, on two;
networks are trained for one epoch, for how well does not change what a draw costs. sbi's default, nflows' neural spline
flow (five transforms, width 50), is given the same embedding, and draws through its own `sample_batched`.
"""

import os
import time
import warnings
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import torch

from bayesastro import NPE, Amortised, Problem, simulate
from bayesastro.inference.neural.embeddings import ResNet
from benchmarks.peers import Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]

NUM_DRAWS, PIXELS, SIZE, NUM_IMAGES = 1000, 48, 14, {"spline": 200, "affine": 400, "mixture": 400, "autoregressive": 40}
NUM_SBI = 4
SBI = "sbi, nflows NSF"


def program(grid):
    theta = numpyro.sample("theta", dist.Normal(0.0, 1.0).expand([SIZE]).to_event(1))
    place, width = theta[:10].reshape(5, 2), jnp.exp(0.3 * jnp.resize(theta[10:], 5))
    distance = (grid[:, None, None] - place[:, 0]) ** 2 + (grid[None, :, None] - place[:, 1]) ** 2
    numpyro.sample("image", dist.Normal(jnp.exp(-0.5 * distance / width**2).sum(-1), 0.1).to_event(2))


def best(function: Callable[[], object]) -> float:
    """Seconds of the quickest of three calls, after one that is not counted."""
    function()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def ours(amortised: Amortised, images: np.ndarray) -> float:
    """Milliseconds an image."""
    return 1e3 * best(lambda: amortised.draw({"image": images}, NUM_DRAWS, seed=1)) / len(images)


def summary_only(amortised: Amortised, images: np.ndarray) -> float:
    """Milliseconds an image for standardisation and embedding alone."""
    return 1e3 * best(lambda: amortised.posterior.outside({"image": images})) / len(images)


def sbis(amortised: Amortised, images: np.ndarray) -> float:
    """Milliseconds an image of sbi's default density estimator, untrained."""
    from sbi.neural_nets.factory import posterior_nn

    scale = amortised.posterior.scale.observed({"image": images})["image"]
    x = torch.from_numpy(scale)
    embedding = ResNet().network(np.ones((PIXELS, PIXELS), bool), 0, 32, 0.0)
    estimator = posterior_nn("nsf", embedding_net=embedding)(torch.randn(50, SIZE), x[:50].expand(50, -1, -1))

    def draw() -> None:
        with torch.no_grad():
            estimator.sample((NUM_DRAWS,), condition=x[:NUM_SBI])

    return 1e3 * best(draw) / NUM_SBI


def run() -> Report:
    """The table, and ratios to sbi on one thread."""
    problem = Problem(program, np.linspace(-2.5, 2.5, PIXELS), observed={"image": np.zeros((PIXELS, PIXELS))})
    bank = simulate(problem, 500, seed=1, progress=False)
    images = bank.rows(slice(None))[1]["image"]
    counts = range(1, 1 + min(2, len(os.sched_getaffinity(0))))
    heads = [f"{n} thread{'s'[: n - 1]}: ms/image" for n in counts]
    lines = [f"| density | {' | '.join(heads)} |", "| --- " * (1 + len(heads)) + "|"]
    threads, found = torch.get_num_threads(), {}
    try:
        for flow, number in NUM_IMAGES.items():
            torch.set_num_threads(1)
            amortised = NPE(flow=flow, max_epochs=1).train(problem, bank, seed=1, progress=False)
            rows = {flow: lambda a=amortised, n=number: ours(a, images[:n])}
            if flow == "spline":
                rows |= {
                    "(of which the summary)": lambda a=amortised: summary_only(a, images[:200]),
                    SBI: lambda a=amortised: Peer("sbi").measured(lambda: sbis(a, images[:60])),
                }
            for name, measured in rows.items():
                figures = []
                for num_threads in counts:
                    torch.set_num_threads(num_threads)
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        figures.append(measured())
                found[name] = figures[0]
                lines.append(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")
                print(lines[-1], flush=True)
    finally:
        torch.set_num_threads(threads)
    ratios = [
        Ratio(
            quantity=f"1,000 draws of a neural posterior, {flow}: ms an image",
            ours=found[flow],
            peer=f"{Peer('sbi')}, NSF",
            theirs=found[SBI],
            less_is_better=True,
        )
        for flow in NUM_IMAGES
    ]
    return Report("\n".join(lines), tuple(ratios))
