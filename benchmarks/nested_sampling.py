"""Nested sampling of a likelihood that costs more than a millisecond: the package's sampler beside dynesty, nautilus and
UltraNest, with 400 live points.

The marginal likelihood of a quasi-periodic Gaussian process over 300 points with five hyperparameters. Peers get the
likelihood as NumPy, of a batch where they take one, and draw in the way that they choose for five parameters. *Refined*
is ours with 7000 further likelihoods for its evidence. Ours and UltraNest stop when the live points hold 1 % of
the evidence. Seconds are the processor's, without compiling, which is named beside them (by the clock). A ratio of
precision compares 1/σ² of log Z: what a second buys, as errors fall with the square root of the work. *Refined* and nautilus
sample by importance in the end, which nested sampling alone does not.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report

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
    """A run, or the mean of several: seconds after compiling, likelihood calls, and log-evidence with its error."""

    seconds: float
    calls: int
    log_evidence: float
    error: float
    compiling: float = 0.0


def ours(target: Target, seed: int, refine: int = 0) -> Timing:
    """A second run, which compiles nothing."""
    engine = NestedSampler(num_live=NUM_LIVE, refine=refine)
    compiling = fit(target.problem, engine, seed=seed, progress=False).attrs["seconds_compiling"]
    began = time.process_time()
    attrs = fit(target.problem, engine, seed=seed, progress=False).attrs
    seconds = time.process_time() - began
    return Timing(seconds, attrs["num_likelihoods"], attrs["log_evidence"], attrs["log_evidence_err"], compiling)


def blackjaxs(target: Target, seed: int) -> Timing:
    """blackjax's kernel with our numbers of inner steps and deletions, in its documented loop."""
    with jax.enable_x64(True):
        key, key_prior = jax.random.split(jax.random.key(seed))
        positions = jax.random.uniform(key_prior, (NUM_LIVE, target.size), minval=-target.edge, maxval=target.edge)
        began = time.process_time()
        live, dead = target.blackjaxs.init(positions), []
        while live.integrator.logZ_live - live.integrator.logZ > np.log(0.01):
            key, key_step = jax.random.split(key)
            live, info = target.blackjaxs_step(key_step, live)
            dead.append(info)
        jax.block_until_ready(live)
        seconds = time.process_time() - began
        calls = sum(int((d.update_info.num_expansions + d.update_info.num_shrink + 2).sum()) for d in dead)
        log_weights = utils.log_weights(key, utils.finalise(live, dead))
        log_evidences = jax.scipy.special.logsumexp(log_weights, axis=0)
        return Timing(seconds, calls, float(log_evidences.mean()), float(log_evidences.std()))


def dynestys(target: Target, seed: int) -> Timing:
    import dynesty

    began = time.process_time()
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
    return Timing(time.process_time() - began, int(np.sum(found.ncall)), found.logz[-1], found.logzerr[-1])


def nautiluss(target: Target, seed: int, num_live: int = 5 * NUM_LIVE) -> Timing:
    import nautilus

    began = time.process_time()
    sampler = nautilus.Sampler(
        target.from_cube, target.in_numpy_batched, n_dim=target.size, n_live=num_live, vectorized=True, seed=seed
    )
    sampler.run(verbose=False)
    return Timing(time.process_time() - began, sampler.n_like, sampler.log_z, 1 / np.sqrt(sampler.n_eff))


def ultranests(target: Target, seed: int) -> Timing:
    import ultranest
    import ultranest.stepsampler

    np.random.seed(seed)  # UltraNest takes no generator
    began = time.process_time()
    sampler = ultranest.ReactiveNestedSampler(
        [f"x{i}" for i in range(target.size)], target.in_numpy_batched, target.from_cube, vectorized=True
    )
    if target.size > 5:
        sampler.stepsampler = ultranest.stepsampler.SliceSampler(
            nsteps=2 * target.size, generate_direction=ultranest.stepsampler.generate_mixture_random_direction
        )
    found = sampler.run(min_num_live_points=NUM_LIVE, show_status=False, viz_callback=False)
    return Timing(time.process_time() - began, found["ncall"], found["logz"], found["logzerr"])


SAMPLERS: dict[str, tuple[str, Callable[[Target, int], Timing]]] = {
    "bayesastro": ("bayesastro", ours),
    "bayesastro, refined": ("bayesastro", functools.partial(ours, refine=7000)),
    "blackjax nss": ("blackjax", blackjaxs),
    "dynesty": ("dynesty", dynestys),
    "nautilus (2000 live)": ("nautilus-sampler", nautiluss),
    "nautilus (400 live)": ("nautilus-sampler", functools.partial(nautiluss, num_live=NUM_LIVE)),
    "UltraNest": ("ultranest", ultranests),
}
"""Name → distribution, and a run."""

FOR_A_COSTLY_LIKELIHOOD = tuple(name for name in SAMPLERS if name not in ("blackjax nss", "nautilus (2000 live)"))
"""The others take an hour, of a million likelihoods, and some minutes."""


QUANTITIES: tuple[tuple[str, Callable[[Timing], float], bool], ...] = (
    ("seconds to the evidence", lambda t: t.seconds, True),
    ("likelihoods to the evidence", lambda t: t.calls, True),
    ("precision 1/σ² of log Z a second", lambda t: 1 / (t.error**2 * t.seconds), False),
)
"""Name, figure, and whether less of it is better."""


def run() -> Report:
    """The table, and ratios to each peer."""
    return contest(PROCESS, FOR_A_COSTLY_LIKELIHOOD)


def contest(target: Target, names: tuple[str, ...]) -> Report:
    """A target and some of `SAMPLERS`; of ours refined, the ratios are those of precision alone."""
    lines = [
        "| target | sampler | seconds | compiling | likelihood calls | calls/s | log Z | its error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    if target.log_evidence is not None:
        lines.append(f"| {target.name} | truth | – | – | – | – | {target.log_evidence} | – |")
    print("\n".join(lines), flush=True)
    found: dict[str, Timing | Failure] = {}
    for name in names:
        package, sampler = SAMPLERS[name]
        runs = Peer(package).measured(lambda p=package, s=sampler: _runs(target, p, s))
        found[name] = runs if isinstance(runs, Failure) else _mean(runs)
        lines.append(f"| {target.name} | {name} | {_figures(runs)} |")
        print(lines[-1], flush=True)
    return Report("\n".join(lines), _ratios(target, found))


def _runs(target: Target, package: str, sampler: Callable[[Target, int], Timing]) -> list[Timing]:
    if package == "blackjax":
        sampler(target, 0)  # compiles
    return [sampler(target, seed) for seed in target.seeds]


def _mean(runs: list[Timing]) -> Timing:
    names = [field.name for field in dataclasses.fields(Timing)]
    return Timing(**{name: np.mean([getattr(run, name) for run in runs]) for name in names})


def _figures(runs: list[Timing] | Failure) -> str:
    if isinstance(runs, Failure):
        return f"{runs} | – | – | – | – | –"
    mean, found = _mean(runs), ", ".join(f"{run.log_evidence:.2f}" for run in runs)
    compiling = f"{runs[0].compiling:.1f}" if runs[0].compiling else "–"
    calls = f"{mean.calls:.3g} | {mean.calls / mean.seconds:.3g}"
    return f"{mean.seconds:.2f} | {compiling} | {calls} | {found} | {mean.error:.3f}"


def _ratios(target: Target, found: dict[str, Timing | Failure]) -> tuple[Ratio, ...]:
    mine = {name: timing for name, timing in found.items() if name.startswith("bayesastro")}
    ratios: list[Ratio] = []
    for name, theirs in found.items():
        if name in mine:
            continue
        place = name.find(" (")
        peer = f"{Peer(SAMPLERS[name][0])}{name[place:] if place > 0 else ''}"
        for what, measure, is_less_better in QUANTITIES:
            for which, timing in mine.items():
                refined = which.removeprefix("bayesastro")
                if isinstance(timing, Timing) and (not refined or not is_less_better):
                    figure = theirs if isinstance(theirs, Failure) else measure(theirs)
                    quantity = f"{target.name}{refined}: {what}"
                    both = {"ours": measure(timing), "peer": peer, "theirs": figure}
                    ratios.append(Ratio(quantity=quantity, less_is_better=is_less_better, **both))
    return tuple(ratios)
