"""GeoVI beside nifty8.re called by hand: a small problem from cold, and Poisson fields after compiling.

Both solve a log-normal Poisson field with a Gaussian-process prior of fixed spectrum and inferred amplitude, in double
precision, drawing the same number of mirrored pairs. The field runs do equal work: as many Newton and
conjugate-gradient steps, set by limits that each of them reaches.
"""

import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesastro import GeoVI, Problem, fit

__all__ = ["run"]

EXPOSURE = 3.0
NUM_SAMPLES = 4
NUM_ITERATIONS = 5
CG_STEPS, SAMPLING_NEWTON, NEWTON = 30, 3, 5
"""Work of an iteration of the large fields."""


def amplitude(num: int, ndim: int) -> np.ndarray:
    """Square root of a Matérn-like spectrum, of unit variance."""
    k = np.fft.fftfreq(num, 1 / num)
    squares = sum(np.meshgrid(*[k**2] * ndim, indexing="ij"))
    power = (1 + squares / 9.0) ** -1.5
    return np.sqrt(power / power.mean())


def hartley(values: Any) -> Any:
    """Unitary Hartley transform."""
    transformed = jnp.fft.fftn(values, norm="ortho")
    return transformed.real + transformed.imag


def program(amplitude: Any, exposure: Any) -> None:
    scale = numpyro.sample("scale", dist.LogNormal(0.0, 0.5))
    xi = numpyro.sample("xi", dist.Normal(0.0, 1.0).expand(list(amplitude.shape)).to_event(amplitude.ndim))
    rate = exposure * jnp.exp(scale * hartley(amplitude * xi))
    numpyro.sample("counts", dist.Poisson(rate).to_event(amplitude.ndim))


def field(num: int, ndim: int) -> Problem:
    """A field of ``num**ndim`` pixels; ``num**ndim + 1`` unknowns."""
    rng, spectrum = np.random.default_rng(1), amplitude(num, ndim)
    signal = np.asarray(hartley(spectrum * rng.normal(size=spectrum.shape)))
    return Problem(program, spectrum, np.array(EXPOSURE), observed={"counts": rng.poisson(EXPOSURE * np.exp(signal))})


def by_hand(problem: Problem) -> tuple[Any, Any]:
    """The same posterior as nifty8.re's users write it: likelihood and starting point."""
    import nifty8.re as jft

    spectrum, exposure = (jnp.asarray(a) for a in problem.data.arrays)

    def forward(primals: Any) -> Any:
        return exposure * jnp.exp(jnp.exp(0.5 * primals["scale"]) * hartley(spectrum * primals["xi"]))

    domain = {"scale": jft.ShapeWithDtype((), float), "xi": jft.ShapeWithDtype(spectrum.shape, float)}
    likelihood = jft.Poissonian(jnp.asarray(problem.data.observed["counts"])).amend(forward, domain=domain)
    return likelihood, jft.Vector(jft.random_like(jax.random.key(3), domain)) * 0.1


def time_ours(problem: Problem) -> float:
    """Seconds of a run that has been compiled: iterations, one step that draws, and the result."""
    engine = GeoVI(
        num_iterations=NUM_ITERATIONS,
        num_samples=NUM_SAMPLES,
        num_draws=2 * NUM_SAMPLES,
        tolerance=1e-9,
        max_cg_iterations=CG_STEPS,
        max_sampling_newton=SAMPLING_NEWTON,
        max_newton=NEWTON,
    )
    seconds = []
    for seed in (1, 2):
        began = time.perf_counter()
        fit(problem, engine, seed=seed, progress=False)
        seconds.append(time.perf_counter() - began)
    return seconds[-1]


def time_by_hand(problem: Problem, residual_map: str) -> float:
    """Seconds of the iterations but the first, in which NIFTy compiles, scaled to all of them."""
    import nifty8.re as jft

    jft.logger.setLevel("ERROR")
    with jax.enable_x64(True):
        likelihood, start = by_hand(problem)
        cg = {"miniter": CG_STEPS, "maxiter": CG_STEPS}
        ends = []
        jft.optimize_kl(
            likelihood,
            start,
            key=jax.random.key(1),
            n_total_iterations=NUM_ITERATIONS + 1,
            n_samples=NUM_SAMPLES,
            residual_map=residual_map,
            draw_linear_kwargs={"cg_kwargs": cg},
            nonlinearly_update_kwargs={"minimize_kwargs": _newton(SAMPLING_NEWTON, cg)},
            kl_kwargs={"minimize_kwargs": _newton(NEWTON, cg)},
            callback=lambda samples, state: ends.append((jax.block_until_ready(samples.pos), time.perf_counter())),
        )
    return ends[-1][1] - ends[0][1]


def _newton(steps: int, cg: dict[str, int]) -> dict[str, Any]:
    return {"xtol": 0.0, "miniter": steps, "maxiter": steps, "cg_kwargs": cg}


def cold(which: str) -> None:
    """Import, set up and solve the problem of 33 unknowns, with default settings, in this process."""
    problem = field(32, 1)
    if which == "ours":
        fit(problem, GeoVI(), seed=1, progress=False)
        return
    import nifty8.re as jft

    jft.logger.setLevel("ERROR")
    with jax.enable_x64(True):
        likelihood, start = by_hand(problem)
        jft.optimize_kl(likelihood, start, key=jax.random.key(1), n_total_iterations=10, n_samples=8)


def seconds_of_process(which: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.geovi_fields", which], check=True)
    return time.perf_counter() - began


def run() -> str:
    """The tables, in Markdown."""
    lines = ["| 33 unknowns, from cold | seconds |", "|---|---|"]
    lines += [f"| {which} | {seconds_of_process(which):.1f} |" for which in ("ours", "nifty8.re")]
    lines += [
        "",
        f"| Poisson field, {NUM_ITERATIONS} iterations, compiled | ours [s] | nifty8.re, vmap [s] | lmap [s] | ours / best |",
        "|---|---|---|---|---|",
    ]
    for num in (128, 512):
        problem = field(num, 2)
        a = time_ours(problem)
        b, c = (time_by_hand(problem, kind) for kind in ("vmap", "lmap"))
        lines.append(f"| {num}² | {a:.2f} | {b:.2f} | {c:.2f} | {a / min(b, c):.2f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


if __name__ == "__main__":
    cold(sys.argv[1])
