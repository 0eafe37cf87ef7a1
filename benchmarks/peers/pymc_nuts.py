"""NUTS of PyMC or nutpie on programs of `benchmarks/problems.py`, written in PyMC; runs in the environment `pymc`.

Given: `program`, its arrays `array_0`, … and observed values, `sampler`, numbers of warm-up, draws and chains, `target`, `seed`.
Found: the processor's `seconds` and `gradients` of the second of two runs, warm-up included, and its draws. The seconds are
less those of a run of two transitions.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt

SPEED_OF_LIGHT = 299_792.458
NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)


def eight_schools(sigma: Any, *, y: Any) -> None:
    mu = pm.Normal("mu", 0.0, 5.0)
    tau = pm.HalfCauchy("tau", 5.0)
    offset = pm.Normal("offset", 0.0, 1.0, shape=len(sigma))
    pm.Normal("y", mu + tau * offset, sigma, observed=y)


def bao(z: Any, kind: Any, tril: Any, *, bao: Any) -> None:
    Omega_m = pm.Uniform("Omega_m", 0.01, 0.99)
    hrd = pm.Uniform("hrd", 10.0, 1000.0)
    upper = np.log1p(z)
    u = 0.5 * (1.0 + NODES[:, None]) * upper

    def efunc(u: Any) -> Any:
        return pt.sqrt(Omega_m * np.exp(3.0 * u) + 1.0 - Omega_m)

    D_M = SPEED_OF_LIGHT / 100.0 * upper * pt.dot(0.5 * WEIGHTS, np.exp(u) / efunc(u))
    D_H = SPEED_OF_LIGHT / 100.0 / efunc(upper)
    D_V = (z * D_M**2 * D_H) ** (1 / 3)
    ratios = pt.switch(kind == 0, D_V, pt.switch(kind == 1, D_M, D_H)) / hrd
    pm.MvNormal("bao", ratios, chol=tril, observed=bao)


def logistic_regression(x: Any, *, y: Any) -> None:
    scale = pm.HalfNormal("scale", 1.0)
    w = pm.Normal("w", 0.0, 1.0, shape=x.shape[1])
    pm.Bernoulli("y", logit_p=pt.dot(x, scale * w), observed=y)


def hierarchical_slopes(x: Any, group: Any, *, y: Any) -> None:
    mean = pm.Normal("mean", 0.0, 2.0, shape=2)
    spread = pm.HalfNormal("spread", 1.0, shape=2)
    noise = pm.HalfNormal("noise", 1.0)
    offset = pm.Normal("offset", 0.0, 1.0, shape=(200, 2))
    lines = mean + spread * offset
    pm.Normal("y", lines[group, 0] + lines[group, 1] * x, noise, observed=y)


PROGRAMS: dict[str, Callable[..., None]] = {
    "eight schools (10)": eight_schools,
    "BAO ΛCDM (2)": bao,
    "logistic regression (26)": logistic_regression,
    "hierarchical slopes (405)": hierarchical_slopes,
}


Run = Callable[[int, int, int], Any]
"""Of a seed and numbers of warm-up and draws."""


def pymcs(model: pm.Model, num_chains: int, target: float) -> Run:
    """PyMC's own sampler with its default start and adaptation, compiled by Numba: its C code needs BLAS to be linked."""
    with model:
        points, step = pm.init_nuts(
            init="jitter+adapt_diag",
            chains=num_chains,
            random_seed=1,
            target_accept=target,
            compile_kwargs={"mode": "NUMBA"},
            progressbar=False,
        )

    def run(seed: int, num_warmup: int, num_draws: int) -> Any:
        with model:
            return pm.sample(
                num_draws,
                tune=num_warmup,
                chains=num_chains,
                cores=1,
                step=step,
                initvals=points,
                random_seed=seed,
                compile_kwargs={"mode": "NUMBA"},
                discard_tuned_samples=False,
                compute_convergence_checks=False,
                progressbar=False,
                quiet=True,
            )

    return run


def nutpies(model: pm.Model, num_chains: int, target: float) -> Run:
    """nutpie on the density that numba compiles."""
    compiled = nutpie.compile_pymc_model(model, backend="numba")

    def run(seed: int, num_warmup: int, num_draws: int) -> Any:
        return nutpie.sample(
            compiled,
            draws=num_draws,
            tune=num_warmup,
            chains=num_chains,
            cores=1,
            target_accept=target,
            seed=seed,
            progress_bar=False,
        )

    return run


NUMBERS = ("num_warmup", "num_draws", "num_chains", "seed")


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """The processor's seconds of a call, and what it gives."""
    began = time.process_time()
    found = call()
    return time.process_time() - began, found


def main(inwards: str, outwards: str) -> None:
    with np.load(inwards, allow_pickle=False) as file:
        given = {name: array[()] for name, array in file.items()}
    program = PROGRAMS[given.pop("program")]
    sampler = {"pymc": pymcs, "nutpie": nutpies}[given.pop("sampler")]
    num_warmup, num_draws, num_chains, seed = (int(given.pop(name)) for name in NUMBERS)
    target = float(given.pop("target"))
    arrays = [given.pop(f"array_{i}") for i in range(sum(name.startswith("array_") for name in given))]
    with pm.Model() as model:
        program(*arrays, **given)
    run = sampler(model, num_chains, target)
    run(seed, num_warmup, num_draws)
    overhead, _ = timed(lambda: run(seed, 1, 1))  # PyMC compiles parts of its bookkeeping anew in every run
    seconds, found = timed(lambda: run(seed, num_warmup, num_draws))
    seconds -= overhead
    gradients = sum(int(found[group]["n_steps"].sum()) for group in ("sample_stats", "warmup_sample_stats"))
    names = [variable.name for variable in model.free_RVs]
    draws = {name: found["posterior"][name].values for name in names}
    np.savez(outwards, seconds=seconds, gradients=gradients, **draws)


if __name__ == "__main__":
    main(*sys.argv[1:])
