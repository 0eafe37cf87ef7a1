"""NUTS: the package's sampler beside numpyro's, in effective samples a second and a thousand gradients."""

import time
from dataclasses import dataclass

import arviz_base
import arviz_stats
import jax
import numpy as np
import xarray as xr
from numpyro.handlers import condition
from numpyro import infer

from bayesastro import NUTS, Problem, fit
from benchmarks.problems import PROBLEMS

__all__ = ["run"]

NUM_WARMUP, NUM_DRAWS, NUM_CHAINS, TARGET = 1000, 1000, 4, 0.8


@dataclass(frozen=True)
class Timing:
    """Seconds of warm-up and sampling after compiling, gradients, and the smallest bulk ESS over all parameters."""

    seconds: float
    gradients: int
    ess: float

    @property
    def ess_per_second(self) -> float:
        return self.ess / self.seconds

    @property
    def ess_per_kilogradient(self) -> float:
        return 1e3 * self.ess / self.gradients


def ours(problem: Problem) -> Timing:
    engine = NUTS(num_chains=NUM_CHAINS, num_warmup=NUM_WARMUP, num_draws=NUM_DRAWS, target_accept=TARGET)
    fit(problem, engine, seed=1, progress=False)
    began = time.perf_counter()
    result = fit(problem, engine, seed=2, progress=False)
    seconds = time.perf_counter() - began
    return Timing(seconds, int(result.attrs["num_gradients"]), smallest_ess(result["posterior"].to_dataset()))


def numpyros(problem: Problem) -> Timing:
    with jax.enable_x64(True):
        program = condition(problem.static_program, data=problem.data.observed)
        kernel = infer.NUTS(program, target_accept_prob=TARGET)
        mcmc = infer.MCMC(
            kernel,
            num_warmup=NUM_WARMUP,
            num_samples=NUM_DRAWS,
            num_chains=NUM_CHAINS,
            chain_method="vectorized",
            progress_bar=False,
        )
        gradients = []
        for seed in (1, 2):
            began = time.perf_counter()
            mcmc.warmup(jax.random.key(seed), problem.data.arrays, extra_fields=("num_steps",), collect_warmup=True)
            gradients.append(int(mcmc.get_extra_fields()["num_steps"].sum()))
            mcmc.run(mcmc.post_warmup_state.rng_key, problem.data.arrays, extra_fields=("num_steps",))
            draws = jax.tree.map(np.asarray, mcmc.get_samples(group_by_chain=True))
            seconds = time.perf_counter() - began
        steps = gradients[-1] + int(mcmc.get_extra_fields()["num_steps"].sum())
    return Timing(seconds, steps, smallest_ess(arviz_base.dict_to_dataset(draws, check_conventions=False)))


def smallest_ess(posterior: xr.Dataset) -> float:
    ess = arviz_stats.ess(posterior)
    return min(float(np.nanmin(value)) for value in ess.values())


def run() -> str:
    """The table, in Markdown."""
    lines = [
        "| problem (parameters) | ESS/s ours | ESS/s numpyro | ratio | ESS per 1000 gradients ours | numpyro | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, build in PROBLEMS.items():
        problem = build()
        a, b = ours(problem), numpyros(problem)
        lines.append(
            f"| {name} | {a.ess_per_second:.0f} | {b.ess_per_second:.0f} | {a.ess_per_second / b.ess_per_second:.2f} "
            f"| {a.ess_per_kilogradient:.2f} | {b.ess_per_kilogradient:.2f} "
            f"| {a.ess_per_kilogradient / b.ess_per_kilogradient:.2f} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)
