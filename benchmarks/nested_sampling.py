"""Nested sampling of a likelihood that costs more than a millisecond: the package's sampler beside dynesty, nautilus and
UltraNest, with 400 live points.

The marginal likelihood of a quasi-periodic Gaussian process over 300 points with five hyperparameters. Peers get the
likelihood as NumPy, of a batch where they take one, and draw in the way that they choose for five parameters. *Refined*
is ours with 7000 further likelihoods for its evidence. Ours and UltraNest stop when the live points hold 1 % of
the evidence. Seconds are without compiling, which is named beside them. A peer that is not installed is named in the table.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jax_linalg
import numpy as np
import numpyro
import numpyro.distributions as dist
import scipy.linalg as scipy_linalg
from blackjax.ns import utils
from scipy.special import logsumexp

from bayesastro import NestedSampler, Problem, fit

__all__ = ["run"]

NUM_LIVE = 400
CENTRES = 3.5 * np.eye(1, 10) * np.array([[1.0], [-1.0]])
RADIUS, WIDTH = 2.0, 0.1


@dataclass(frozen=True, eq=False)
class Target:
    """A likelihood over a uniform prior in a cube."""

    name: str
    size: int
    edge: float
    """Half the side of the cube."""
    in_jax: Callable[[Any], Any]
    in_numpy: Callable[[np.ndarray], float]
    in_numpy_batched: Callable[[np.ndarray], np.ndarray]
    log_evidence: float | None
    seeds: tuple[int, ...]

    def from_cube(self, u: np.ndarray) -> np.ndarray:
        return self.edge * (2 * np.asarray(u) - 1)

    @functools.cached_property
    def problem(self) -> Problem:
        def program() -> None:
            x = numpyro.sample("x", dist.Uniform(-self.edge, self.edge).expand([self.size]).to_event(1))
            numpyro.factor("likelihood", self.in_jax(x))

        return Problem(program)

    @functools.cached_property
    def blackjaxs_step(self) -> Callable[..., Any]:
        return jax.jit(lambda key, state: self.blackjaxs.step(key, state))

    @functools.cached_property
    def blackjaxs(self) -> blackjax.SamplingAlgorithm:
        volume = self.size * np.log(2 * self.edge)
        return blackjax.nss(
            logprior_fn=lambda x: jnp.where(jnp.all(jnp.abs(x) < self.edge), -volume, -jnp.inf),
            loglikelihood_fn=self.in_jax,
            num_inner_steps=max(10, 5 * self.size),
            num_delete=NUM_LIVE // 10,
        )


def _shells(x, numpy, log_sum_exp):
    distance = numpy.sqrt(numpy.sum((x[..., None, :] - CENTRES) ** 2, axis=-1))
    log_density = -0.5 * ((distance - RADIUS) / WIDTH) ** 2 - 0.5 * np.log(2 * np.pi * WIDTH**2)
    return log_sum_exp(log_density, axis=-1)


def _one_of_shells(x: np.ndarray) -> float:
    distance = np.sqrt(((x - CENTRES) ** 2).sum(1))
    return float(np.logaddexp(*(-0.5 * ((distance - RADIUS) / WIDTH) ** 2))) - 0.5 * np.log(2 * np.pi * WIDTH**2)


TIMES = np.linspace(0.0, 30.0, 300)
SIGNAL = np.sin(TIMES) * np.exp(-TIMES / 40) + 0.3 * np.random.default_rng(5).normal(size=TIMES.size)


def _process(x, numpy, linalg):
    """Quasi-periodic Gaussian process; the parameters are logarithms, that of the period known to a quarter."""
    amplitude, period, decay, smooth, noise = (numpy.exp(x[i] / (8 if i == 1 else 1)) for i in range(5))
    lag = TIMES[:, None] - TIMES
    covariance = amplitude**2 * numpy.exp(
        -0.5 * (lag / (20 * decay)) ** 2 - (numpy.sin(lag / (2 * period)) / (1.5 * smooth)) ** 2
    ) + (0.3 * noise) ** 2 * np.eye(TIMES.size)
    factor = linalg.cholesky(covariance, lower=True)
    white = linalg.solve_triangular(factor, SIGNAL, lower=True)
    return -0.5 * white @ white - numpy.sum(numpy.log(numpy.diagonal(factor))) - 0.5 * TIMES.size * np.log(2 * np.pi)


def _one_process(x: np.ndarray) -> float:
    return float(_process(x, np, scipy_linalg))


SHELLS = Target(
    "shells, 10-D",
    10,
    6.0,
    lambda x: _shells(x, jnp, jax.scipy.special.logsumexp),
    _one_of_shells,
    lambda x: _shells(np.asarray(x), np, logsumexp),
    -14.59,
    (1, 2, 3),
)

PROCESS = Target(
    "Gaussian process, 5-D",
    5,
    2.0,
    lambda x: _process(x, jnp, jax_linalg),
    _one_process,
    lambda x: np.array([_one_process(row) for row in np.asarray(x)]),
    None,
    (1,),
)


@dataclass(frozen=True)
class Timing:
    """One run: seconds after compiling, likelihood calls, and log-evidence with its error."""

    seconds: float
    calls: int
    log_evidence: float
    error: float
    compiling: float = 0.0


def ours(target: Target, seed: int, refine: int = 0) -> Timing:
    attrs = fit(target.problem, NestedSampler(num_live=NUM_LIVE, refine=refine), seed=seed, progress=False).attrs
    return Timing(
        attrs["seconds_running"],
        attrs["num_likelihoods"],
        attrs["log_evidence"],
        attrs["log_evidence_err"],
        attrs["seconds_compiling"],
    )


def blackjaxs(target: Target, seed: int) -> Timing:
    """blackjax's kernel with our numbers of inner steps and deletions, in its documented loop."""
    with jax.enable_x64(True):
        key, key_prior = jax.random.split(jax.random.key(seed))
        positions = jax.random.uniform(key_prior, (NUM_LIVE, target.size), minval=-target.edge, maxval=target.edge)
        began = time.perf_counter()
        live, dead = target.blackjaxs.init(positions), []
        while live.integrator.logZ_live - live.integrator.logZ > np.log(0.01):
            key, key_step = jax.random.split(key)
            live, info = target.blackjaxs_step(key_step, live)
            dead.append(info)
        jax.block_until_ready(live)
        seconds = time.perf_counter() - began
        calls = sum(int((d.update_info.num_expansions + d.update_info.num_shrink + 2).sum()) for d in dead)
        log_weights = utils.log_weights(key, utils.finalise(live, dead))
        log_evidences = jax.scipy.special.logsumexp(log_weights, axis=0)
        return Timing(seconds, calls, float(log_evidences.mean()), float(log_evidences.std()))


def dynestys(target: Target, seed: int) -> Timing:
    import dynesty

    began = time.perf_counter()
    sampler = dynesty.NestedSampler(
        target.in_numpy,
        target.from_cube,
        target.size,
        nlive=NUM_LIVE,
        sample="rslice" if target.size > 5 else "unif",
        rstate=np.random.default_rng(seed),
    )
    sampler.run_nested(print_progress=False)
    found = sampler.results
    return Timing(time.perf_counter() - began, int(np.sum(found.ncall)), found.logz[-1], found.logzerr[-1])


def nautiluss(target: Target, seed: int, num_live: int = 5 * NUM_LIVE) -> Timing:
    import nautilus

    began = time.perf_counter()
    sampler = nautilus.Sampler(
        target.from_cube, target.in_numpy_batched, n_dim=target.size, n_live=num_live, vectorized=True, seed=seed
    )
    sampler.run(verbose=False)
    return Timing(time.perf_counter() - began, sampler.n_like, sampler.log_z, 1 / np.sqrt(sampler.n_eff))


def ultranests(target: Target, seed: int) -> Timing:
    import ultranest
    import ultranest.stepsampler

    np.random.seed(seed)  # UltraNest takes no generator
    began = time.perf_counter()
    sampler = ultranest.ReactiveNestedSampler(
        [f"x{i}" for i in range(target.size)], target.in_numpy_batched, target.from_cube, vectorized=True
    )
    if target.size > 5:
        sampler.stepsampler = ultranest.stepsampler.SliceSampler(
            nsteps=2 * target.size, generate_direction=ultranest.stepsampler.generate_mixture_random_direction
        )
    found = sampler.run(min_num_live_points=NUM_LIVE, show_status=False, viz_callback=False)
    return Timing(time.perf_counter() - began, found["ncall"], found["logz"], found["logzerr"])


PEERS: dict[str, tuple[str, Callable[[Target, int], Timing]]] = {
    "bayesastro": ("bayesastro", ours),
    "bayesastro, refined": ("bayesastro", functools.partial(ours, refine=7000)),
    "blackjax nss": ("blackjax", blackjaxs),
    "dynesty": ("dynesty", dynestys),
    "nautilus (2000 live)": ("nautilus", nautiluss),
    "nautilus (400 live)": ("nautilus", functools.partial(nautiluss, num_live=NUM_LIVE)),
    "UltraNest": ("ultranest", ultranests),
}
"""Name → module, and a run."""

FOR_A_COSTLY_LIKELIHOOD = tuple(name for name in PEERS if name not in ("blackjax nss", "nautilus (2000 live)"))
"""The others take an hour, of a million likelihoods, and some minutes."""


def run() -> str:
    """The table, in Markdown."""
    return table(PROCESS, FOR_A_COSTLY_LIKELIHOOD)


def table(target: Target, names: tuple[str, ...]) -> str:
    """Of a target and some of `PEERS`, in Markdown."""
    lines = [
        "| target | sampler | seconds | compiling | likelihood calls | calls/s | log Z | its error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    if target.log_evidence is not None:
        lines.append(f"| {target.name} | truth | – | – | – | – | {target.log_evidence} | – |")
    print("\n".join(lines), flush=True)
    for name in names:
        lines.append(f"| {target.name} | {name} | {_figures(target, *PEERS[name])} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def _figures(target: Target, module: str, sampler: Callable[[Target, int], Timing]) -> str:
    if find_spec(module) is None:
        return "not installed | – | – | – | – | –"
    if module == "blackjax":
        sampler(target, 0)  # compiles
    runs = [sampler(target, seed) for seed in target.seeds]
    seconds, calls, error = (np.mean([getattr(r, what) for r in runs]) for what in ("seconds", "calls", "error"))
    found = ", ".join(f"{r.log_evidence:.2f}" for r in runs)
    compiling = f"{runs[0].compiling:.1f}" if runs[0].compiling else "–"
    return f"{seconds:.2f} | {compiling} | {calls:.3g} | {calls / seconds:.3g} | {found} | {error:.3f}"
