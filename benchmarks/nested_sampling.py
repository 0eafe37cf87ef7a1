"""Nested sampling: the package's sampler beside blackjax's own loop, dynesty, nautilus and UltraNest.

Gaussian shells in 10 dimensions (Feroz, Hobson & Bridges 2009, MNRAS 398, 1601, section 6.2), 400 live points. Peers
get the likelihood as a compiled JAX function of a batch where they take one, and else as NumPy. A peer that is not
installed is named in the table.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from blackjax.ns import utils
from scipy.special import logsumexp

from bayesastro import NestedSampler, Problem, fit

__all__ = ["run"]

SIZE, NUM_LIVE, SEEDS = 10, 400, (1, 2, 3)
LOG_EVIDENCE = -14.59
CENTRES = 3.5 * np.eye(1, SIZE) * np.array([[1.0], [-1.0]])
RADIUS, WIDTH, EDGE = 2.0, 0.1, 6.0


@dataclass(frozen=True)
class Timing:
    """One run: seconds after compiling, likelihood calls, and log-evidence with its error."""

    seconds: float
    calls: int
    log_evidence: float
    error: float


@functools.cache
def shells() -> Problem:
    def program() -> None:
        x = numpyro.sample("x", dist.Uniform(-EDGE, EDGE).expand([SIZE]).to_event(1))
        numpyro.factor("shells", _log_likelihood(x, jnp, jax.scipy.special.logsumexp))

    return Problem(program)


def ours(seed: int) -> Timing:
    began = time.perf_counter()
    attrs = fit(shells(), NestedSampler(num_live=NUM_LIVE), seed=seed, progress=False).attrs
    return Timing(
        time.perf_counter() - began, attrs["num_likelihoods"], attrs["log_evidence"], attrs["log_evidence_err"]
    )


def blackjaxs(seed: int) -> Timing:
    """blackjax's kernel with our numbers of inner steps and deletions, in its documented loop."""
    with jax.enable_x64(True):
        key, key_prior = jax.random.split(jax.random.key(seed))
        positions = jax.random.uniform(key_prior, (NUM_LIVE, SIZE), minval=-EDGE, maxval=EDGE)
        began = time.perf_counter()
        live, dead = _nss().init(positions), []
        while live.integrator.logZ_live - live.integrator.logZ > np.log(0.01):
            key, key_step = jax.random.split(key)
            live, info = _nss_step(key_step, live)
            dead.append(info)
        jax.block_until_ready(live)
        seconds = time.perf_counter() - began
        calls = sum(int((d.update_info.num_expansions + d.update_info.num_shrink + 2).sum()) for d in dead)
        log_weights = utils.log_weights(key, utils.finalise(live, dead))
        log_evidences = jax.scipy.special.logsumexp(log_weights, axis=0)
    return Timing(seconds, calls, float(log_evidences.mean()), float(log_evidences.std()))


def _nss() -> blackjax.SamplingAlgorithm:
    return blackjax.nss(
        logprior_fn=lambda x: jnp.where(jnp.all(jnp.abs(x) < EDGE), -SIZE * jnp.log(2 * EDGE), -jnp.inf),
        loglikelihood_fn=lambda x: _log_likelihood(x, jnp, jax.scipy.special.logsumexp),
        num_inner_steps=5 * SIZE,
        num_delete=NUM_LIVE // 10,
    )


_nss_step = jax.jit(lambda key, state: _nss().step(key, state))


def dynestys(seed: int) -> Timing:
    import dynesty

    began = time.perf_counter()
    sampler = dynesty.NestedSampler(
        _numpy_likelihood, _from_cube, SIZE, nlive=NUM_LIVE, sample="rslice", rstate=np.random.default_rng(seed)
    )
    sampler.run_nested(print_progress=False)
    found = sampler.results
    return Timing(time.perf_counter() - began, int(np.sum(found.ncall)), found.logz[-1], found.logzerr[-1])


def nautiluss(seed: int) -> Timing:
    import nautilus

    began = time.perf_counter()
    sampler = nautilus.Sampler(
        _from_cube, _numpy_batch_likelihood, n_dim=SIZE, n_live=5 * NUM_LIVE, vectorized=True, seed=seed
    )
    sampler.run(verbose=False)
    return Timing(time.perf_counter() - began, sampler.n_like, sampler.log_z, 1 / np.sqrt(sampler.n_eff))


def ultranests(seed: int) -> Timing:
    import ultranest
    import ultranest.stepsampler

    np.random.seed(seed)  # UltraNest takes no generator
    began = time.perf_counter()
    sampler = ultranest.ReactiveNestedSampler(
        [f"x{i}" for i in range(SIZE)], _numpy_batch_likelihood, _from_cube, vectorized=True
    )
    sampler.stepsampler = ultranest.stepsampler.SliceSampler(
        nsteps=2 * SIZE, generate_direction=ultranest.stepsampler.generate_mixture_random_direction
    )
    found = sampler.run(min_num_live_points=NUM_LIVE, show_status=False, viz_callback=False)
    return Timing(time.perf_counter() - began, found["ncall"], found["logz"], found["logzerr"])


PEERS: dict[str, tuple[str, Callable[[int], Timing]]] = {
    "bayesastro": ("bayesastro", ours),
    "blackjax nss": ("blackjax", blackjaxs),
    "dynesty (rslice)": ("dynesty", dynestys),
    "nautilus (2000 live)": ("nautilus", nautiluss),
    "UltraNest (slices)": ("ultranest", ultranests),
}
"""Name → module, and a run."""


def _from_cube(u: np.ndarray) -> np.ndarray:
    return EDGE * (2 * np.asarray(u) - 1)


def _log_likelihood(x, numpy, log_sum_exp):
    distance = numpy.sqrt(numpy.sum((x[..., None, :] - CENTRES) ** 2, axis=-1))
    log_density = -0.5 * ((distance - RADIUS) / WIDTH) ** 2 - 0.5 * np.log(2 * np.pi * WIDTH**2)
    return log_sum_exp(log_density, axis=-1)


def _numpy_batch_likelihood(x: np.ndarray) -> np.ndarray:
    return _log_likelihood(np.asarray(x), np, logsumexp)


def _numpy_likelihood(x: np.ndarray) -> float:
    distance = np.sqrt(((x - CENTRES) ** 2).sum(1))
    return float(np.logaddexp(*(-0.5 * ((distance - RADIUS) / WIDTH) ** 2))) - 0.5 * np.log(2 * np.pi * WIDTH**2)


def run() -> str:
    """The table, in Markdown."""
    lines = [
        f"| sampler | seconds | likelihood calls | calls/s | log Z, true {LOG_EVIDENCE} | its error |",
        "|---|---|---|---|---|---|",
    ]
    for name, (module, sampler) in PEERS.items():
        if find_spec(module) is None:
            lines.append(f"| {name} | not installed | – | – | – | – |")
        else:
            if module in ("bayesastro", "blackjax"):
                sampler(0)  # compiles
            runs = [sampler(seed) for seed in SEEDS]
            seconds, calls = (np.mean([getattr(r, what) for r in runs]) for what in ("seconds", "calls"))
            found = ", ".join(f"{r.log_evidence:.2f}" for r in runs)
            error = np.mean([r.error for r in runs])
            lines.append(f"| {name} | {seconds:.2f} | {calls:.3g} | {calls / seconds:.3g} | {found} | {error:.2f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)
