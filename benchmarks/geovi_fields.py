"""GeoVI beside nifty8.re called by hand: a small problem from cold, and Poisson fields after compiling.

Both solve a log-normal Poisson field with a Gaussian-process prior of fixed spectrum and inferred amplitude, in double
precision, drawing the same number of mirrored pairs. The field runs do equal work: as many Newton and
conjugate-gradient steps, set by limits that each of them reaches. The last table is of GeoVI alone, on one thread, each size
in a process of its own and with less work in an iteration; N log N is that of the pixels.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesastro import GeoVI, Problem, fit
from bayesastro.inference import newton
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]

EXPOSURE = 3.0
NUM_SAMPLES = 4
SIZES = {128: 5, 512: 2}
"""Pixels along a side, and iterations."""


@dataclass(frozen=True)
class Work:
    """Of an iteration of the large fields: mirrored pairs and the steps of each solve."""

    num_samples: int = NUM_SAMPLES
    cg_steps: int = 30
    sampling_newton: int = 3
    newton: int = 5


WORK, LITTLE = Work(), Work(num_samples=2, cg_steps=10, sampling_newton=1, newton=2)
SCALING = {64: 20, 128: 10, 256: 4, 512: 2, 1024: 1}
"""Pixels along a side, and iterations, of the table of one engine."""


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


@dataclass(frozen=True)
class Timing:
    """Seconds by the clock, and of the processor: a busy machine stretches the first alone."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} ({self.cpu:.1f})"


def now() -> Timing:
    return Timing(time.perf_counter(), time.process_time())


def since(began: Timing, ended: Timing | None = None) -> Timing:
    ended = ended or now()
    return Timing(ended.wall - began.wall, ended.cpu - began.cpu)


def time_ours(problem: Problem, num_iterations: int, work: Work = WORK) -> Timing:
    """As many iterations, all compiled: the difference of runs with one more than them, and with one."""
    newton.TRUNCATION = 0.0  # every linear system takes all its steps, as it does by hand
    timings = []
    for number in (1, num_iterations + 1):
        engine = GeoVI(
            num_iterations=number,
            num_samples=work.num_samples,
            num_draws=2 * work.num_samples,
            tolerance=1e-9,
            max_cg_iterations=work.cg_steps,
            max_sampling_newton=work.sampling_newton,
            max_newton=work.newton,
        )
        fit(problem, engine, seed=1, progress=False)
        began = now()
        result = fit(problem, engine, seed=2, progress=False)
        timings.append(since(began))
        assert (result["iterations"]["cg_iterations"] == work.cg_steps * work.newton).all()
        steps = work.cg_steps * (1 + work.sampling_newton)
        assert (result["iterations"]["sampling_cg_iterations"] == steps).all()
    return since(*timings)


def time_by_hand(problem: Problem, num_iterations: int, residual_map: str) -> Timing:
    """As many iterations, after a first in which NIFTy compiles."""
    import nifty8.re as jft

    jft.logger.setLevel("CRITICAL")
    with jax.enable_x64(True):
        likelihood, start = by_hand(problem)
        cg = {"miniter": WORK.cg_steps, "maxiter": WORK.cg_steps}
        ends = []

        def note(samples: Any, state: Any) -> None:
            jax.block_until_ready(samples.pos)
            ends.append(now())

        jft.optimize_kl(
            likelihood,
            start,
            key=jax.random.key(1),
            n_total_iterations=num_iterations + 1,
            n_samples=NUM_SAMPLES,
            residual_map=residual_map,
            draw_linear_kwargs={"cg_kwargs": cg},
            nonlinearly_update_kwargs={"minimize_kwargs": _newton(WORK.sampling_newton, cg)},
            kl_kwargs={"minimize_kwargs": _newton(WORK.newton, cg)},
            callback=note,
        )
    return since(ends[0], ends[-1])


def _newton(steps: int, cg: dict[str, int]) -> dict[str, Any]:
    return {"xtol": 0.0, "miniter": steps, "maxiter": steps, "cg_kwargs": cg}


def cold(which: str) -> None:
    """Import, set up and solve the problem of 33 unknowns, with default settings, in this process."""
    problem = field(32, 1)
    if which == "ours":
        fit(problem, GeoVI(), seed=1, progress=False)
        return
    import nifty8.re as jft

    jft.logger.setLevel("CRITICAL")
    with jax.enable_x64(True):
        likelihood, start = by_hand(problem)
        jft.optimize_kl(likelihood, start, key=jax.random.key(1), n_total_iterations=10, n_samples=8)


def time_of_process(which: str) -> Timing:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-m", "benchmarks.geovi_fields", which], check=True)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return Timing(time.perf_counter() - began, cpu)


def scaled(num: int) -> None:
    """Print the seconds of an iteration and the peak memory of this process in MiB, as JSON."""
    iterations = SCALING[num]
    seconds = time_ours(field(num, 2), iterations, LITTLE)
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"seconds": seconds.cpu / iterations, "peak": peak}))


def scaling() -> list[str]:
    """The table of sizes."""
    lines = [
        "| pixels | seconds of an iteration | over N log N, relative to 64² | peak memory [MiB] | bytes by pixel above 64² |"
    ]
    lines.append("|---|---|---|---|---|")
    core = str(max(os.sched_getaffinity(0)))
    first = None
    for num in SCALING:
        command = ["taskset", "-c", core, sys.executable, "-m", "benchmarks.geovi_fields", "scale", str(num)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        unit = found["seconds"] / (num**2 * np.log(num**2))
        first = first or (unit, found["peak"])
        above = f"{(found['peak'] - first[1]) * 2**20 / (num**2 - 64**2):.0f}" if num > 64 else ""
        lines.append(f"| {num}² | {found['seconds']:.3f} | {unit / first[0]:.2f} | {found['peak']:.0f} | {above} |")
        print(lines[-1], flush=True)
    return lines


def run() -> Report:
    """The tables; seconds by the clock, and in brackets of the processor, of which the ratios are."""
    nifty, ratios = Peer("nifty8"), []
    lines = ["| 33 unknowns, from cold | seconds (processor) |", "|---|---|"]
    mine, theirs = time_of_process("ours"), nifty.measured(lambda: time_of_process("nifty8.re"))
    lines += [f"| ours | {mine} |", f"| nifty8.re | {theirs} |"]
    print("\n".join(lines), flush=True)
    ratios.append(_ratio("a fit of 33 unknowns from cold", mine, nifty, theirs))
    lines += [
        "",
        "| Poisson field, compiled | iterations | ours [s] | nifty8.re, lmap | nifty8.re, vmap |",
        "|---|---|---|---|---|",
    ]
    for num, iterations in SIZES.items():
        problem = field(num, 2)
        mine = time_ours(problem, iterations)
        both = [nifty.measured(lambda p=problem, n=iterations, k=k: time_by_hand(p, n, k)) for k in ("lmap", "vmap")]
        lines.append(f"| {num}² | {iterations} | {mine} | {both[0]} | {both[1]} |")
        print(lines[-1], flush=True)
        best = min((t for t in both if isinstance(t, Timing)), key=lambda t: t.cpu, default=both[0])
        ratios.append(_ratio(f"{iterations} iterations on a Poisson field of {num}²", mine, nifty, best))
    return Report("\n".join([*lines, "", *scaling()]), tuple(ratios))


def _ratio(what: str, ours: Timing, peer: Peer, theirs: Timing | Failure) -> Ratio:
    figure = theirs if isinstance(theirs, Failure) else theirs.cpu
    return Ratio(
        quantity=f"GeoVI: seconds of {what}", ours=ours.cpu, peer=str(peer), theirs=figure, less_is_better=True
    )


if __name__ == "__main__":
    if sys.argv[1] == "scale":
        scaled(int(sys.argv[2]))
    else:
        cold(sys.argv[1])
