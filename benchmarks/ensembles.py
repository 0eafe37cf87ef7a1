"""The ensemble of walkers beside emcee by hand, in effective samples a second and a likelihood.

Flat ΛCDM from BAO, and w₀w_aCDM from BAO and clocks: 32 and 40 walkers, 5,000 steps from the best of prior draws, the first
fifth left out, by the stretch move, in double precision. emcee calls the same compiled density, once for half the walkers
(`vectorize=True`), and for ΛCDM the density written in NumPy and SciPy, a walker at a time, as its documentation has it. An
effective sample is that of the parameter with the longest autocorrelation time, which emcee's estimator gives for all; times
are the processor's seconds, without compiling.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import emcee
import jax
import numpy as np
import scipy.integrate
import scipy.linalg

from bayesastro import Ensemble, Problem, fit
from bayesastro.datasets import desi_dr2_bao
from benchmarks.peers import Peer
from benchmarks.problems import PROBLEMS
from benchmarks.report import Ratio, Report

__all__ = ["run"]

NUM_STEPS, NUM_DROPPED = 5000, 1000
NUM_WALKERS = {"BAO ΛCDM (2)": 32, "BAO + clocks w₀wₐ (5)": 40}
EMCEE = Peer("emcee")


@dataclass(frozen=True)
class Timing:
    """Processor's seconds, likelihoods, and effective samples of the worst parameter."""

    seconds: float
    likelihoods: int
    ess: float


def effective(chain: np.ndarray) -> float:
    """Of unconstrained coordinates, shape (step, walker, coordinate)."""
    tau = emcee.autocorr.integrated_time(chain, quiet=True)
    return chain.shape[0] * chain.shape[1] / float(tau.max())


def ours(problem: Problem, num_walkers: int) -> Timing:
    """All steps: the run is not ended by its own estimate of the autocorrelation time."""
    engine = Ensemble(
        num_walkers=num_walkers, max_steps=NUM_STEPS, tau_factor=1e6, num_draws=NUM_STEPS - NUM_DROPPED, num_starts=10
    )
    fit(problem, engine, seed=1, progress=False)
    began = time.process_time()
    result = fit(problem, engine, seed=2, progress=False)
    seconds = time.process_time() - began
    posterior = result["posterior"]
    values = {site.name: posterior[site.name].values for site in problem.parameters}  # (walker, step)
    with jax.enable_x64(True):
        to_coordinates = jax.vmap(jax.vmap(lambda theta: problem.unconstrained.to_coordinates(theta, problem.data)))
        chain = np.asarray(jax.jit(to_coordinates)(values))
    return Timing(seconds, num_walkers * (NUM_STEPS + engine.num_starts), effective(np.swapaxes(chain, 0, 1)))


def emcees(
    problem: Problem, num_walkers: int, density: Callable[[np.ndarray], np.ndarray], is_vectorised: bool
) -> Timing:
    """emcee on a density over unconstrained coordinates; `density` takes one walker, or rows of many."""
    size = problem.unconstrained.size
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(3), 10 * num_walkers)
        starts = np.asarray(jax.vmap(problem.unconstrained.draw_prior, (0, None))(keys, problem.data))
    density(starts[: num_walkers // 2] if is_vectorised else starts[0])  # compiles
    began = time.process_time()
    values = density(starts) if is_vectorised else np.array([density(start) for start in starts])
    groups = np.asarray(values).reshape(num_walkers, -1)
    best = starts.reshape(num_walkers, -1, size)[np.arange(num_walkers), groups.argmax(1)]
    sampler = emcee.EnsembleSampler(num_walkers, size, density, vectorize=is_vectorised)
    sampler.random_state = np.random.RandomState(4).get_state()
    sampler.run_mcmc(best, NUM_STEPS)
    seconds = time.process_time() - began
    return Timing(seconds, num_walkers * (NUM_STEPS + 10), effective(sampler.get_chain(discard=NUM_DROPPED)))


def compiled(problem: Problem) -> Callable[[np.ndarray], np.ndarray]:
    """Our density of rows of coordinates."""
    many = jax.jit(jax.vmap(problem.unconstrained.log_density, (0, None)))

    def density(z: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(many(z, problem.data))

    return density


def by_hand() -> Callable[[np.ndarray], float]:
    """Flat ΛCDM with DESI's distances: NumPy, SciPy's quadrature, and logistic coordinates of the flat priors."""
    table = desi_dr2_bao()
    factor = scipy.linalg.cho_factor(table.covariance)

    def density(coordinates: np.ndarray) -> float:
        unit = 1 / (1 + np.exp(-coordinates))
        Omega_m, hrd = 0.01 + 0.98 * unit[0], 10.0 + 990.0 * unit[1]

        def efunc(z: float | np.ndarray) -> float | np.ndarray:
            return np.sqrt(Omega_m * (1 + z) ** 3 + 1 - Omega_m)

        integrals = {z: scipy.integrate.quad(lambda z: 1 / efunc(z), 0.0, z)[0] for z in set(table.z)}
        D_M = 2997.92458 * np.array([integrals[z] for z in table.z])
        D_H = 2997.92458 / efunc(table.z)
        D_V = (table.z * D_M**2 * D_H) ** (1 / 3)
        residual = table.value - np.choose(table.kind, [D_V, D_M, D_H]) / hrd
        return float(np.sum(np.log(unit * (1 - unit))) - 0.5 * residual @ scipy.linalg.cho_solve(factor, residual))

    return density


def run() -> Report:
    """The table, and ratios to emcee."""
    lines = [
        "| problem (parameters) | sampler | seconds | likelihoods | effective samples | a second | per 1000 likelihoods |",
        "|---|---|---|---|---|---|---|",
    ]
    ratios = []
    for name, num_walkers in NUM_WALKERS.items():
        problem = PROBLEMS[name]()
        mine = ours(problem, num_walkers)
        lines.append(_row(name, "bayesastro", mine))
        print(lines[-1], flush=True)
        ways = {"the same density": functools.partial(emcees, problem, num_walkers, compiled(problem), True)}
        if name == "BAO ΛCDM (2)":
            ways["NumPy"] = functools.partial(emcees, problem, num_walkers, by_hand(), False)
        for way, call in ways.items():
            theirs = call()
            lines.append(_row(name, f"emcee, {way}", theirs))
            print(lines[-1], flush=True)
            peer = f"{EMCEE}, {way}"
            quantity = f"Ensemble, {name}: effective samples"
            ratios += [
                Ratio(
                    quantity=f"{quantity} a second",
                    ours=mine.ess / mine.seconds,
                    peer=peer,
                    theirs=theirs.ess / theirs.seconds,
                ),
                Ratio(
                    quantity=f"{quantity} per 1000 likelihoods",
                    ours=1e3 * mine.ess / mine.likelihoods,
                    peer=peer,
                    theirs=1e3 * theirs.ess / theirs.likelihoods,
                ),
            ]
    return Report("\n".join(lines), tuple(ratios))


def _row(name: str, sampler: str, t: Timing) -> str:
    figures = f"{t.ess:.0f} | {t.ess / t.seconds:.3g} | {1e3 * t.ess / t.likelihoods:.3g}"
    return f"| {name} | {sampler} | {t.seconds:.2f} | {t.likelihoods:,} | {figures} |"
