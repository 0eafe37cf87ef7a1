"""NUTS: the package's sampler beside numpyro's, blackjax's, PyMC's and nutpie, in effective samples a second and a gradient.

All run four chains of 1000 + 1000 transitions with a diagonal mass matrix and a target acceptance of 0.8, on the same
density, in float64, from cold adaptation; times are the processor's seconds, without compiling. PyMC and nutpie have four of
the programs, written in PyMC and compiled by Numba, in an environment of their own, and one chain after the other. `shift` is the
largest difference of posterior means from ours among all samplers and parameters, in its Monte Carlo errors.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import arviz_stats
import blackjax
import jax
import numpy as np
import pandas as pd
from numpyro import infer
from numpyro.handlers import condition

from bayesastro import NUTS, Problem, fit
from benchmarks.peers import Failure, Peer
from benchmarks.problems import PROBLEMS
from benchmarks.report import Ratio, Report

__all__ = ["run"]

NUM_WARMUP, NUM_DRAWS, NUM_CHAINS, TARGET = 1000, 1000, 4, 0.8


@dataclass(frozen=True)
class Timing:
    """Processor's seconds of warm-up and sampling after compiling, gradients, and a table of each parameter's mean, sd and bulk ESS."""

    seconds: float
    gradients: int
    parameters: pd.DataFrame

    @property
    def ess(self) -> float:
        """The smallest; parameters that never move have none, and count as one draw."""
        return float(self.parameters["ess"].fillna(1.0).min())

    @property
    def ess_per_second(self) -> float:
        return self.ess / self.seconds

    @property
    def ess_per_kilogradient(self) -> float:
        return 1e3 * self.ess / self.gradients


def ours(problem: Problem, seed: int) -> Callable[[], Timing]:
    engine = NUTS(num_chains=NUM_CHAINS, num_warmup=NUM_WARMUP, num_draws=NUM_DRAWS, target_accept=TARGET)

    def timed() -> Timing:
        began = time.process_time()
        result = fit(problem, engine, seed=seed, progress=False)
        seconds = time.process_time() - began
        posterior = {name: values.values for name, values in result["posterior"].data_vars.items()}
        return Timing(seconds, int(result.attrs["num_gradients"]), moments(problem, posterior))

    return timed


def numpyros(problem: Problem, seed: int) -> Callable[[], Timing]:
    """Its `MCMC` within `jax.jit`; called as such, it compiles anew in every run."""
    program = condition(problem.static_program, data=problem.data.observed)
    arguments = {"extra_fields": ("num_steps",)}

    def sampler() -> infer.MCMC:
        return infer.MCMC(
            infer.NUTS(program, target_accept_prob=TARGET),
            num_warmup=NUM_WARMUP,
            num_samples=NUM_DRAWS,
            num_chains=NUM_CHAINS,
            chain_method="vectorized",
            progress_bar=False,
        )

    @jax.jit
    def chains(key: jax.Array, arrays: Any) -> tuple[dict[str, jax.Array], jax.Array]:
        mcmc = sampler()
        mcmc.run(key, arrays, **arguments)
        return mcmc.get_samples(group_by_chain=True), mcmc.get_extra_fields()["num_steps"].sum()

    with jax.enable_x64(True):  # its warm-up's gradients show only when the warm-up is run apart
        key, warmup = jax.random.PRNGKey(seed), sampler()
        warmup.warmup(key, problem.data.arrays, collect_warmup=True, **arguments)
        warmup_gradients = int(warmup.get_extra_fields()["num_steps"].sum())

    def timed() -> Timing:
        with jax.enable_x64(True):
            began = time.process_time()
            draws, steps = jax.tree.map(np.asarray, chains(key, problem.data.arrays))
            seconds = time.process_time() - began
        return Timing(seconds, warmup_gradients + int(steps), moments(problem, draws))

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
            began = time.process_time()
            draws, gradients = chains(jax.random.split(jax.random.key(seed), NUM_CHAINS), problem.data)
            draws, gradients = jax.tree.map(np.asarray, draws), int(gradients.sum())
            seconds = time.process_time() - began
        return Timing(seconds, gradients, moments(problem, draws))

    return timed


def moments(problem: Problem, draws: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Mean, sd and bulk ESS of all scalars of the latent sites, from draws of shape (chain, draw, …)."""
    columns = {"mean": [], "sd": [], "ess": []}
    for site in problem.parameters:
        values = draws[site.name].reshape(*draws[site.name].shape[:2], -1)
        with np.errstate(all="ignore"):
            columns["ess"] += [arviz_stats.ess(values[..., i]) for i in range(values.shape[-1])]
        columns["mean"] += list(values.mean((0, 1)))
        columns["sd"] += list(values.std((0, 1)))
    return pd.DataFrame(columns, dtype=float)


SAMPLERS = {"numpyro": numpyros, "blackjax": blackjaxes}
PYMC_PROGRAMS = ("eight schools (10)", "BAO ΛCDM (2)", "logistic regression (26)", "hierarchical slopes (405)")
PEERS = (Peer("numpyro"), Peer("blackjax"), Peer("pymc", "pymc"), Peer("nutpie", "pymc"))


def of_peer(peer: Peer, problem: Problem, name: str, seed: int) -> Timing:
    """A peer's timing, here or in its own environment."""
    if peer.environment is None:
        return second(SAMPLERS[peer.package](problem, seed))
    arrays = {f"array_{i}": np.asarray(array) for i, array in enumerate(problem.data.arrays)}
    settings = {"num_warmup": NUM_WARMUP, "num_draws": NUM_DRAWS, "num_chains": NUM_CHAINS, "target": TARGET}
    found = peer.run(
        "pymc_nuts.py",
        program=name,
        sampler=peer.package,
        seed=seed,
        **settings,
        **arrays,
        **problem.data.observed,
    )
    return Timing(float(found["seconds"]), int(found["gradients"]), moments(problem, found))


def second(timed: Callable[[], Timing]) -> Timing:
    """Of two runs: the first one compiles."""
    timed()
    return timed()


def shift(first: Timing, second: Timing) -> float:
    """The largest difference of means in its Monte Carlo errors; parameters that never move are left out."""
    a, b = first.parameters, second.parameters
    error = np.sqrt(a["sd"] ** 2 / a["ess"] + b["sd"] ** 2 / b["ess"])
    return float(((a["mean"] - b["mean"]).abs() / error).max())


def run() -> Report:
    """The table, and ratios to each peer."""
    names = ("bayesastro", *(peer.package for peer in PEERS))
    head = [f"{what}, {name}" for what in ("ESS/s", "ESS per 1000 gradients") for name in names]
    lines = [f"| problem (parameters) | {' | '.join(head)} | shift |", "|---" * (2 + len(head)) + "|"]
    ratios = []
    for name, build in PROBLEMS.items():
        problem = build()
        mine = second(ours(problem, 2))
        found: dict[str, Timing | Failure] = {"bayesastro": mine}
        for peer in PEERS:
            if peer.environment is not None and name not in PYMC_PROGRAMS:
                continue
            theirs = peer.measured(lambda p=peer, q=problem, n=name: of_peer(p, q, n, 2))
            found[peer.package] = theirs
            for what, attribute in (("a second", "ess_per_second"), ("per 1000 gradients", "ess_per_kilogradient")):
                figure = theirs if isinstance(theirs, Failure) else getattr(theirs, attribute)
                quantity = f"NUTS, {name}: effective samples {what}"
                ratios.append(Ratio(quantity=quantity, ours=getattr(mine, attribute), peer=str(peer), theirs=figure))
        cells = [_cell(found.get(n), what) for what in ("ess_per_second", "ess_per_kilogradient") for n in names]
        worst = max(shift(mine, each) for each in found.values() if isinstance(each, Timing))
        lines.append(f"| {name} | {' | '.join(cells)} | {worst:.1f} |")
        print(lines[-1], flush=True)
    return Report("\n".join(lines), tuple(ratios))


def _cell(timing: Timing | Failure | None, what: str) -> str:
    """Empty where the peer does not have the program; why it failed stands with its ratios."""
    if isinstance(timing, Timing):
        return f"{getattr(timing, what):.3g}"
    return "" if timing is None else "–"
