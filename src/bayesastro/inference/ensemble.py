"""The affine-invariant ensemble sampler: gradient-free Markov chain Monte Carlo, for code that JAX cannot trace.

Use it for up to some ten parameters whose density comes without a gradient (a Boltzmann code, a radiative transfer
library behind :func:`bayesastro.external`); with a gradient, NUTS is far cheaper for each effective draw. Walkers move
by emcee's stretch move, half an ensemble at a time, each half in one compiled call.

The walkers depend on each other, so that R̂ between them means nothing. The run ends by the integrated autocorrelation
time τ instead: when the iterations kept are `tau_factor` times τ of every coordinate, and τ no longer changes.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import emcee
import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.charts import Chart
from bayesastro.hints import told
from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.history import History, autocorrelation_time, extended, no_history
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

__all__ = ["Ensemble"]

WARMUP_FRACTION = 0.2
"""First part of the iterations, which is dropped: with `tau_factor` 50 it is more than ten autocorrelation times."""

TAU_CHANGE = 0.05
"""Relative change of τ between two checks, below which it counts as known."""

FIRST_CHECK, CHECK_GROWTH = 500, 1.1
"""Iterations before the first estimate of τ, and their ratio from one to the next."""

START_SPREAD = 0.1
"""Spread, in sds of the given draws, of walkers about a start of too few draws for one each."""

BLOCK_BYTES = 2**26
MAX_BLOCK = 4000


class _State(NamedTuple):
    """Everything as NumPy arrays: walkers, generator (Mersenne twister), history for τ."""

    count: np.ndarray
    coordinates: np.ndarray
    log_density: np.ndarray
    twister: np.ndarray
    twister_place: np.ndarray
    history: History
    tau: np.ndarray
    next_check: np.ndarray
    is_converged: np.ndarray
    num_accepted: np.ndarray
    num_nans: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Ensemble(Engine):
    """Affine-invariant ensemble sampler (emcee).

    Parameters
    ----------
    num_walkers : int, optional
        Even and at least twice the number of parameters; by default four times that, and 32 at least.
    tau_factor : float
        The run ends when the iterations kept are this many autocorrelation times.
    max_steps : int
        Iterations of all walkers after which the run ends in any case; the result then says that it did not converge.
    stretch : float
        Scale a > 1 of the stretch move; smaller steps are accepted more often.
    num_draws : int
        Draws kept of each walker, evenly over the iterations after the first fifth; fewer if these are fewer.
    num_starts : int
        Draws from the prior for each walker, the best of which it starts from. With ``fit(..., start=result)`` the
        walkers start at draws of that result.

    References
    ----------
    Goodman & Weare 2010, Comm. App. Math. Comp. Sci. 5, 65 (doi:10.2140/camcos.2010.5.65);
    Foreman-Mackey et al. 2013, PASP 125, 306 (arXiv:1202.3665), sections 2 and 3.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density"})
    exactness: ClassVar[str] = "exact"
    references: ClassVar[tuple[str, ...]] = ("doi:10.2140/camcos.2010.5.65", "arXiv:1202.3665")
    max_size: ClassVar[int] = 1000
    is_traced: ClassVar[bool] = False

    num_walkers: int | None = None
    tau_factor: float = 50.0
    max_steps: int = 50_000
    stretch: float = 2.0
    num_draws: int = 200
    num_starts: int = 10

    def __post_init__(self) -> None:
        optional = ["num_walkers"] if self.num_walkers is not None else []
        require_positive(self, "max_steps", "num_draws", "num_starts", *optional)
        if not 10 <= self.tau_factor < np.inf:
            raise ValueError(
                f"`Ensemble` needs `tau_factor` of at least 10, for τ cannot be told from less, but "
                f"{told(self.tau_factor)} came."
            )
        if not 1 < self.stretch < np.inf:
            raise ValueError(f"`Ensemble` needs `stretch` greater than 1, but {told(self.stretch)} came.")

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        size = problem.unconstrained.size
        if self.num_walkers is not None and (self.num_walkers < 2 * size or self.num_walkers % 2):
            raise ValueError(
                f"`Ensemble` needs an even `num_walkers` of at least {2 * size}, twice the {size} parameters, but "
                f"{self.num_walkers} came."
            )

    def block_size(self, views: Views) -> int:
        row = 8 * self._walkers(views) * (views.unconstrained.size + 2)
        return int(np.clip(BLOCK_BYTES // row, 1, MAX_BLOCK))

    def init(self, views: Views, key: jax.Array, data: Data, start: np.ndarray | None) -> _State:
        chart, num_walkers = views.unconstrained, self._walkers(views)
        random = np.random.RandomState(np.asarray(jax.random.bits(jax.random.fold_in(key, 1), (8,), "uint32")))
        if start is None:
            candidates = _prior_draws(chart, key, data, num_walkers * self.num_starts)
        else:
            candidates = _near(start, random, num_walkers)
        densities, num_nans = _densities(chart, candidates, data, num_walkers // 2)
        chosen = _best_of_groups(densities, num_walkers)
        coordinates = candidates[chosen]
        if np.isfinite(densities[chosen]).all() and not emcee.ensemble.walkers_independent(coordinates):
            raise ValueError(
                "The starting points of the walkers lie in a subspace, which they could never leave. Start from a "
                "result whose draws vary in every parameter, or from the prior."
            )
        return _State(
            count=np.asarray(0),
            coordinates=coordinates,
            log_density=densities[chosen],
            **_twister(random),
            history=no_history(num_walkers, chart.size),
            tau=np.full(chart.size, np.inf),
            next_check=np.asarray(FIRST_CHECK),
            is_converged=np.asarray(False),
            num_accepted=np.zeros(num_walkers, int),
            num_nans=np.asarray(num_nans),
        )

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        chart, num_walkers = views.unconstrained, self._walkers(views)
        num_nans = int(state.num_nans)

        def log_density(points: np.ndarray) -> np.ndarray:
            nonlocal num_nans
            values, more = _densities(chart, points, data, num_walkers // 2)
            num_nans += more
            return values

        moves = emcee.moves.StretchMove(a=self.stretch)
        sampler = emcee.EnsembleSampler(num_walkers, chart.size, log_density, moves=moves, vectorize=True)
        position, lp = [], []
        while len(lp) < num_steps and not state.is_converged:
            state = self._iterate(sampler, state)
            position.append(state.coordinates)
            lp.append(state.log_density)
        shape = (len(lp), num_walkers)
        rows = {"position": np.reshape(position, (*shape, chart.size)), "lp": np.reshape(lp, shape)}
        return state._replace(num_nans=np.asarray(num_nans)), Block(np.asarray(len(lp)), rows)

    def started(self, state: _State) -> np.ndarray:
        return np.isfinite(state.log_density)

    def progress(self, state: _State) -> Progress:
        done = int(state.count)
        wanted = self.tau_factor * float(np.max(state.tau)) / (1 - WARMUP_FRACTION)
        total = done if state.is_converged else int(min(max(state.next_check, wanted), self.max_steps))
        figures = {"tau": float(f"{np.max(state.tau):.3g}")} if np.isfinite(state.tau).all() else {}
        return Progress(done, total, "sampling", figures)

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        first = int(WARMUP_FRACTION * int(state.count))
        tau = np.where(np.isfinite(state.tau), state.tau, int(state.count))
        num_walkers, num_steps = len(state.coordinates), int(state.count)
        chosen = np.linspace(first, num_steps - 1, min(self.num_draws, num_steps - first)).astype(int)
        kept = {name: np.moveaxis(array[chosen], 0, 1) for name, array in rows.items()}
        kept = kept or {"position": np.zeros((num_walkers, 0, views.unconstrained.size))}
        return Draws(
            coordinates=kept.pop("position"),
            chart="unconstrained",
            sample_stats=kept,
            attributes={
                "chains_are": "walkers",
                "is_converged": int(state.is_converged),
                "tau": float(tau.max()),
                "tau_wanted": (num_steps - first) / self.tau_factor,
                "num_steps": num_steps,
                "num_dropped": first,
                "acceptance_rate": float(state.num_accepted.mean() / max(num_steps, 1)),
                "num_nans": int(state.num_nans),
            },
        )

    def _walkers(self, views: Views) -> int:
        return self.num_walkers if self.num_walkers is not None else max(4 * views.unconstrained.size, 32)

    def _iterate(self, sampler: emcee.EnsembleSampler, state: _State) -> _State:
        """One iteration of emcee; at a check, τ and whether the run has converged."""
        before = emcee.State(
            state.coordinates,
            log_prob=state.log_density,
            random_state=("MT19937", state.twister, int(state.twister_place), 0, 0.0),
        )
        after: Any = next(sampler.sample(before, store=False, skip_initial_state_check=True))
        count = int(state.count) + 1
        state = state._replace(
            count=np.asarray(count),
            coordinates=after.coords,
            log_density=after.log_prob,
            twister=after.random_state[1],
            twister_place=np.asarray(after.random_state[2]),
            history=extended(state.history, after.coords),
            num_accepted=state.num_accepted + (after.coords != state.coordinates).any(1),
        )
        if count < min(state.next_check, self.max_steps):
            return state
        tau = autocorrelation_time(state.history, WARMUP_FRACTION)
        is_long = (1 - WARMUP_FRACTION) * count >= self.tau_factor * tau.max()
        is_known = np.allclose(state.tau, tau, rtol=TAU_CHANGE, atol=0.0)
        return state._replace(
            tau=tau, is_converged=np.asarray(is_long and is_known), next_check=np.asarray(int(CHECK_GROWTH * count))
        )


def _twister(random: np.random.RandomState) -> dict[str, np.ndarray]:
    """State of a generator that has drawn no normals as arrays; the stretch move draws none."""
    state: Any = random.get_state()
    words, place = state[1:3]
    return {"twister": words, "twister_place": np.asarray(place)}


@functools.lru_cache(maxsize=32)
def _batched(chart: Chart) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The density and the draw from the prior over a leading axis, compiled."""
    return (
        jax.jit(jax.vmap(chart.log_density, in_axes=(0, None))),
        jax.jit(
            lambda key, data, indices: jax.vmap(lambda i: chart.draw_prior(jax.random.fold_in(key, i), data))(indices)
        ),
    )


def _prior_draws(chart: Chart, key: jax.Array, data: Data, num_draws: int) -> np.ndarray:
    return np.asarray(_batched(chart)[1](jax.random.fold_in(key, 0), data, jnp.arange(num_draws)))


def _densities(chart: Chart, points: np.ndarray, data: Data, batch: int) -> tuple[np.ndarray, int]:
    """Log-densities in calls of one size, and how many were not a number; those count as −inf."""
    parts = np.split(points, range(batch, len(points), batch))
    values = np.concatenate([np.asarray(_batched(chart)[0](part, data)) for part in parts])
    is_nan = np.isnan(values) | (values == np.inf)
    return np.where(is_nan, -np.inf, values), int(is_nan.sum())


def _best_of_groups(densities: np.ndarray, num_groups: int) -> np.ndarray:
    """The index of the best candidate of each group; where a group has none, the best that others leave over."""
    groups = np.arange(len(densities)).reshape(num_groups, -1)
    chosen = groups[np.arange(num_groups), densities[groups].argmax(1)]
    lost = np.flatnonzero(~np.isfinite(densities[chosen]))
    others = np.setdiff1d(np.argsort(-densities, kind="stable"), chosen, assume_unique=True)
    spare = others[np.isfinite(densities[others])][: len(lost)]
    chosen[lost[: len(spare)]] = spare
    return chosen


def _near(start: np.ndarray, random: np.random.RandomState, num_walkers: int) -> np.ndarray:
    """Different draws of `start`, or where they are too few, points about them."""
    if len(start) >= num_walkers:
        return start[random.choice(len(start), num_walkers, replace=False)]
    points = start[random.choice(len(start), num_walkers)]
    spread = START_SPREAD * start.std(0)
    spread = np.where(spread > 0, spread, 1e-4 * np.maximum(np.abs(start).max(0), 1.0))
    return points + spread * random.uniform(-1, 1, points.shape)
