"""NUTS: the package's sampler beside numpyro's and blackjax's own, in effective samples a second and a gradient.

All run four chains of 1000 + 1000 transitions with a diagonal mass matrix and a target acceptance of 0.8, on the same
density, in float64, from cold adaptation; compiling is left out of the times.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import arviz_base
import arviz_stats
import blackjax
import jax
import numpy as np
import xarray as xr
from numpyro import infer
from numpyro.handlers import condition

from bayesastro import NUTS, Problem, fit
from benchmarks.problems import PROBLEMS

__all__ = ["run"]

NUM_WARMUP, NUM_DRAWS, NUM_CHAINS, TARGET = 1000, 1000, 4, 0.8

REPEATS = 3
"""Timed runs, of which the median is kept."""


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


def ours(problem: Problem, seed: int) -> Callable[[], Timing]:
    engine = NUTS(num_chains=NUM_CHAINS, num_warmup=NUM_WARMUP, num_draws=NUM_DRAWS, target_accept=TARGET)

    def timed() -> Timing:
        began = time.perf_counter()
        result = fit(problem, engine, seed=seed, progress=False)
        seconds = time.perf_counter() - began
        return Timing(seconds, int(result.attrs["num_gradients"]), smallest_ess(problem, result["posterior"]))

    return timed


def numpyros(problem: Problem, seed: int) -> Callable[[], Timing]:
    program = condition(problem.static_program, data=problem.data.observed)
    mcmc = infer.MCMC(
        infer.NUTS(program, target_accept_prob=TARGET),
        num_warmup=NUM_WARMUP,
        num_samples=NUM_DRAWS,
        num_chains=NUM_CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    arguments = {"extra_fields": ("num_steps",)}
    with jax.enable_x64(True):  # its warm-up's gradients show only when the warm-up is run apart
        mcmc.warmup(jax.random.key(seed), problem.data.arrays, collect_warmup=True, **arguments)
        warmup_gradients = int(mcmc.get_extra_fields()["num_steps"].sum())
        mcmc._warmup_state = None

    def timed() -> Timing:
        with jax.enable_x64(True):
            began = time.perf_counter()
            mcmc.run(jax.random.key(seed), problem.data.arrays, **arguments)
            draws = jax.tree.map(np.asarray, mcmc.get_samples(group_by_chain=True))
            seconds = time.perf_counter() - began
            gradients = warmup_gradients + int(mcmc.get_extra_fields()["num_steps"].sum())
        return Timing(
            seconds, gradients, smallest_ess(problem, arviz_base.dict_to_dataset(draws, check_conventions=False))
        )

    return timed


def blackjaxes(problem: Problem, seed: int) -> Callable[[], Timing]:
    chart = problem.unconstrained

    def chain(key, data):
        def density(z):
            return chart.log_density(z, data)

        key_start, key_warmup, key_draws = jax.random.split(key, 3)
        adaptation = blackjax.window_adaptation(blackjax.nuts, density, target_acceptance_rate=TARGET)
        (state, parameters), notes = adaptation.run(key_warmup, chart.draw_prior(key_start, data), NUM_WARMUP)
        step = blackjax.nuts(density, **parameters).step

        def one(state, key):
            state, info = step(key, state)
            return state, (state.position, info.num_integration_steps)

        _, (positions, steps) = jax.lax.scan(one, state, jax.random.split(key_draws, NUM_DRAWS))
        return jax.vmap(chart.to_parameters, in_axes=(0, None))(positions, data), (
            steps.sum() + notes.info.num_integration_steps.sum()
        )

    chains = jax.jit(jax.vmap(chain, in_axes=(0, None)))

    def timed() -> Timing:
        with jax.enable_x64(True):
            began = time.perf_counter()
            draws, gradients = chains(jax.random.split(jax.random.key(seed), NUM_CHAINS), problem.data)
            draws, gradients = jax.tree.map(np.asarray, draws), int(gradients.sum())
            seconds = time.perf_counter() - began
        return Timing(
            seconds, gradients, smallest_ess(problem, arviz_base.dict_to_dataset(draws, check_conventions=False))
        )

    return timed


def smallest_ess(problem: Problem, posterior: xr.Dataset | xr.DataTree) -> float:
    """Over the scalars of the latent sites; those that never move have none, and count as one draw."""
    data = posterior.to_dataset() if isinstance(posterior, xr.DataTree) else posterior
    with np.errstate(all="ignore"):
        ess = arviz_stats.ess(data[[site.name for site in problem.parameters]])
    return min(float(np.nan_to_num(value, nan=1.0).min()) for value in ess.values())


SAMPLERS = {"bayesastro": ours, "numpyro": numpyros, "blackjax": blackjaxes}


def run() -> str:
    """The table, in Markdown."""
    head = [f"{what}, {name}" for what in ("ESS/s", "ESS per 1000 gradients") for name in SAMPLERS]
    lines = [f"| problem (parameters) | {' | '.join(head)} |", "|---" * (1 + len(head)) + "|"]
    for name, build in PROBLEMS.items():
        problem, found = build(), {}
        for sampler, make in SAMPLERS.items():
            timed = make(problem, 2)
            timed()  # compiles
            runs = sorted((timed() for _ in range(REPEATS)), key=lambda timing: timing.seconds)
            found[sampler] = runs[REPEATS // 2]
        first = [f"{t.ess_per_second:.3g}" for t in found.values()]
        second = [f"{t.ess_per_kilogradient:.3g}" for t in found.values()]
        lines.append(f"| {name} | {' | '.join(first + second)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)
