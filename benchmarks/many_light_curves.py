"""Many data sets: `fit_many` beside a loop over NumPyro's `MCMC`.

200 simulated supernova light curves of 40 points; amplitude, time of explosion, rise and fall. NUTS, one chain of 500
warm-up transitions and 500 draws for each. `fit_many` is timed from its second call, when it is compiled, and from its
first. NumPyro's loop is timed over the first 20 light curves and scaled: as written in its examples, where each data
set compiles anew, with ``jit_model_args=True``, and within `jax.jit`, compiled before. The effective sample size is the median
over light curves of that of the worst parameter. Seconds are the processor's.
"""

import functools
import time

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr
from numpyro import infer

from bayesastro import NUTS, Problem, fit_many
from benchmarks.peers import Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]

NUM, NUM_LOOPED, NUM_WARMUP, NUM_DRAWS = 200, 20, 500, 500


def program(time, sigma, flux=None):
    amplitude = numpyro.sample("amplitude", dist.LogNormal(3.0, 0.5))
    start = numpyro.sample("start", dist.Normal(0.0, 5.0))
    rise = numpyro.sample("rise", dist.LogNormal(1.0, 0.3))
    fall = numpyro.sample("fall", dist.LogNormal(3.0, 0.3))
    phase = time - start
    mean = amplitude * jnp.exp(-phase / fall + jax.nn.log_sigmoid(phase / rise))
    numpyro.sample("flux", dist.Normal(mean, sigma).to_event(1), obs=flux)


@functools.cache
def light_curves() -> tuple[Problem, np.ndarray]:
    problem = Problem(program, np.linspace(-20.0, 60.0, 40), 1.0, observed={"flux": np.zeros(40)})
    return problem, problem.simulate(NUM, key=jax.random.key(0)).observables["flux"]


def ours() -> tuple[float, float]:
    """Seconds, and effective draws."""
    problem, flux = light_curves()
    began = time.process_time()
    engine = NUTS(num_chains=1, num_warmup=NUM_WARMUP, num_draws=NUM_DRAWS)
    result = fit_many(problem, {"flux": flux}, engine, seed=1, progress=False)
    seconds = time.process_time() - began
    return seconds, _typical_ess(result["posterior"].to_dataset())


def numpyros(jit_model_args: bool) -> tuple[float, float]:
    """Seconds for all data sets from those of the first, and effective draws."""
    problem, flux = light_curves()
    times = problem.data.arrays[0]
    draws = []
    with jax.enable_x64(True):
        sampler = infer.MCMC(
            infer.NUTS(program, init_strategy=infer.init_to_sample),
            num_warmup=NUM_WARMUP,
            num_samples=NUM_DRAWS,
            progress_bar=False,
            jit_model_args=jit_model_args,
        )
        began = time.process_time()
        for i in range(NUM_LOOPED):
            sampler.run(jax.random.key(i), times, 1.0, flux[i])
            draws.append(jax.tree.map(np.asarray, sampler.get_samples()))
        seconds = time.process_time() - began
    return seconds * NUM / NUM_LOOPED, _typical_ess(_posterior(draws))


def numpyros_compiled() -> tuple[float, float]:
    """The same with `MCMC` within `jax.jit`, after a first call that compiles."""
    problem, flux = light_curves()
    times = problem.data.arrays[0]

    @jax.jit
    def chain(key: jax.Array, flux: jax.Array) -> dict[str, jax.Array]:
        kernel = infer.NUTS(program, init_strategy=infer.init_to_sample)
        sampler = infer.MCMC(kernel, num_warmup=NUM_WARMUP, num_samples=NUM_DRAWS, progress_bar=False)
        sampler.run(key, times, 1.0, flux)
        return sampler.get_samples()

    with jax.enable_x64(True):
        jax.block_until_ready(chain(jax.random.PRNGKey(0), flux[0]))
        began = time.process_time()
        draws = [jax.tree.map(np.asarray, chain(jax.random.PRNGKey(i), flux[i])) for i in range(NUM_LOOPED)]
        seconds = time.process_time() - began
    return seconds * NUM / NUM_LOOPED, _typical_ess(_posterior(draws))


def _posterior(draws: list[dict[str, np.ndarray]]) -> xr.Dataset:
    stacked = {name: np.stack([d[name] for d in draws])[:, None] for name in draws[0]}
    return xr.Dataset({name: (("dataset", "chain", "draw"), values) for name, values in stacked.items()})


def _typical_ess(posterior: xr.Dataset) -> float:
    ess = arviz_stats.ess(posterior, method="bulk").to_array()
    return float(ess.min("variable").median())


def run() -> Report:
    """The table, and ratios to NumPyro."""
    rows = {
        "`fit_many`, compiling": ours(),
        "`fit_many`": ours(),
        "loop over numpyro `MCMC`": numpyros(jit_model_args=False),
        "loop over numpyro `MCMC`, `jit_model_args=True`": numpyros(jit_model_args=True),
        "loop over numpyro `MCMC`, within `jax.jit`": numpyros_compiled(),
    }
    best = rows["`fit_many`"][0]
    lines = ["| how | seconds for 200 | effective draws | times as long |", "|---|---|---|---|"]
    for name, (seconds, ess) in rows.items():
        lines.append(f"| {name} | {seconds:.1f} | {ess:.0f} | {seconds / best:.1f} |")
        print(lines[-1], flush=True)
    ratios = [
        Ratio(
            quantity="NUTS, 200 supernova light curves: seconds",
            ours=best,
            peer=f"{Peer('numpyro')}, {name.removeprefix('loop over numpyro ')}",
            theirs=seconds,
            less_is_better=True,
        )
        for name, (seconds, _) in rows.items()
        if "numpyro" in name
    ]
    return Report("\n".join(lines), tuple(ratios))
