"""Microcanonical Langevin Monte Carlo: one gradient chain without accept-reject steps, for many parameters.

Use it where NUTS gets expensive: for some hundreds of parameters and more its cost for each effective draw grows more
slowly. A step conserves energy only up to the integrator's error and nothing corrects that, so that the draws are
*biased*; the step is tuned to a variance of energy errors (`energy_variance`) at which the bias is small as a rule.
``self_check=True`` measures it, by a second, shorter run at half the step. ``adjusted=True`` adds the accept-reject
step, and is exact.

Steps are blackjax's (isokinetic dynamics, McLachlan's integrator of two gradients a step, partial refreshment of the
momentum). Warm-up learns a diagonal metric in windows, the step throughout, and from the autocorrelation of its third
quarter the length L over which the momentum is forgotten.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.hints import told
from bayesastro.inference.chains import ChainEngine, ChainState
from bayesastro.inference.engine import Draws, Progress, Rows, require_positive
from bayesastro.inference.halving import halving_shift
from bayesastro.inference.metric import (
    METRIC,
    STEP,
    WINDOW_END,
    Moments,
    first_metric,
    metric_of,
    no_moments,
    schedule,
    updated,
)
from bayesastro.inference.microcanonical import Adjusted, Mover, Tuning, Unadjusted, Walker
from bayesastro.inference.starts import starting_points
from bayesastro.inference.step_tuning import autocorrelation
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["MCLMC"]

MAX_THIN = 1000
"""Bound on the steps between draws, where a chain chooses them itself."""

MAX_TRAIL = 64
"""Number of coordinates whose autocorrelation sets L."""

MIN_TRAIL = 50
"""Steps below which autocorrelations tell nothing and L keeps its first value."""

BLOCK_BYTES = 2**27
MAX_BLOCK = 1000


class _Chain(NamedTuple):
    """State of one chain; with a leading axis, of all."""

    walker: Walker
    tuning: Tuning
    moments: Moments
    trail: jax.Array
    """Positions in the third quarter of the warm-up."""
    thin: jax.Array
    num_nans: jax.Array
    num_gradients: jax.Array
    energy_squares: jax.Array
    """Sum of squared energy errors over the steps of all draws."""
    num_moves: jax.Array


@dataclass(frozen=True, kw_only=True)
class MCLMC(ChainEngine):
    """Microcanonical Langevin Monte Carlo, unadjusted or adjusted.

    Parameters
    ----------
    num_chains : int
        Chains, vectorised on a device and spread over devices when there are several.
    num_warmup : int
        Steps of adaptation for each chain (adjusted: trajectories), not kept.
    num_draws : int
        Draws kept for each chain.
    thin : int, optional
        Steps (adjusted: trajectories) from one draw to the next. By default each chain takes as many as its momentum
        needs to be forgotten, L over the step size, or adjusted one.
    energy_variance : float
        Desired variance of the energy error of a step, for each parameter. Smaller is less biased: the step goes with
        its sixth root.
    adjusted : bool
        Accept or reject trajectories of random length about L, which makes the draws exact.
    target_accept : float
        Mean acceptance probability that the step is adapted to when `adjusted`.
    self_check : bool
        After the draws, make half as many at half the step and report the largest shift of a mean or an sd.
    num_starts : int
        Draws from the prior for each chain, the best of which it starts from, and from whose gradients the first
        metric is made. With ``fit(..., start=result)``, draws of that result, the first of which it starts from.

    References
    ----------
    Robnik, De Luca, Silverstein & Seljak 2023, JMLR 24, 311 (arXiv:2212.08549);
    Robnik & Seljak 2023, arXiv:2303.18221 (Langevin dynamics);
    Robnik, Cohn-Gordon & Seljak 2025, arXiv:2503.01707 (adjusted).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density", "gradient"})
    chart: ClassVar = "centred"
    references: ClassVar[tuple[str, ...]] = ("arXiv:2212.08549", "arXiv:2303.18221", "arXiv:2503.01707")

    num_warmup: int = 2000
    num_draws: int = 1000
    thin: int | None = None
    energy_variance: float = 5e-4
    adjusted: bool = False
    target_accept: float = 0.9
    self_check: bool = False
    num_starts: int = 20

    def __post_init__(self) -> None:
        require_positive(self, "num_chains", "num_warmup", "num_draws", "num_starts")
        if self.thin is not None:
            require_positive(self, "thin")
        if not 0 < self.energy_variance < np.inf:
            raise ValueError(f"`MCLMC` needs a positive `energy_variance`, but {told(self.energy_variance)} came.")
        if not 0 < self.target_accept < 1:
            raise ValueError(f"`MCLMC` needs `target_accept` between 0 and 1, but {told(self.target_accept)} came.")
        if self.adjusted and self.self_check:
            raise ValueError("`MCLMC` with `adjusted=True` has no bias to check. Leave `self_check` out.")

    @property
    def exactness(self) -> str:
        """``"biased"``, or ``"exact"`` when adjusted."""
        return "exact" if self.adjusted else "biased"

    @property
    def _num_checks(self) -> int:
        return max(1, self.num_draws // 2) if self.self_check else 0

    @property
    def _trail(self) -> tuple[int, int]:
        """The steps of the warm-up in which positions are kept for L: its third quarter."""
        return self.num_warmup // 2, self.num_warmup * 3 // 4

    def block_size(self, views: Views) -> int:
        row = 8 * self.num_chains * (views.centred.size + 8)
        return int(np.clip(BLOCK_BYTES // row, 1, MAX_BLOCK))

    def started(self, state: ChainState) -> np.ndarray:
        return np.isfinite(state.chains.walker.logdensity)

    def progress(self, state: ChainState) -> Progress:
        done, drawn = int(state.count), self.num_warmup + self.num_draws
        phase = "warm-up" if done < self.num_warmup else "sampling" if done < drawn else "self-check"
        return Progress(done, drawn + self._num_checks, phase, {"NaNs": float(np.sum(state.chains.num_nans))})

    def finish(self, views: Views, state: ChainState, rows: Rows) -> Draws:
        stats = {name: np.moveaxis(array, 0, 1) for name, array in rows.items()}
        checks = {name: array[:, self.num_draws :] for name, array in stats.items()}
        stats = {name: array[:, : self.num_draws] for name, array in stats.items()}
        position = stats.pop("position")
        attributes: dict[str, Any] = {
            "num_gradients": int(np.sum(state.chains.num_gradients)),
            "num_nans": int(np.sum(state.chains.num_nans)),
            "thin": [int(thin) for thin in state.chains.thin],
        }
        mover, chains = self._mover(views, Data((), {})), state.chains
        step_sizes = np.asarray(mover.step_size(chains.tuning))
        stats["step_size"] = np.broadcast_to(step_sizes[:, None], position.shape[:2])
        if not self.adjusted and position.shape[1]:
            measured = np.max(chains.energy_squares / chains.num_moves) / mover.num_coordinates
            attributes |= {"energy_variance": float(measured), "energy_variance_wanted": self.energy_variance}
            if self.self_check:
                attributes |= halving_shift(position, checks["position"])
        return Draws(coordinates=position, chart="centred", sample_stats=stats, attributes=attributes)

    def _mover(self, views: Views, data: Data) -> Mover:
        log_density = lambda z: views.centred.log_density(z, data)  # noqa: E731
        if self.adjusted:
            return Adjusted(log_density, views.centred.size, self.target_accept)
        return Unadjusted(log_density, views.centred.size, self.energy_variance)

    def _start(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _Chain:
        """A chain at the best of its prior draws or at one of `start`."""
        chart, mover = views.centred, self._mover(views, data)
        key_start, key_momentum = jax.random.split(jax.random.fold_in(key, 0))
        points, first = starting_points(chart, key_start, data, self.num_starts, start)
        walker = mover.start(key_momentum, first)
        size, (begin, end) = len(walker.position), self._trail
        return _Chain(
            walker=walker,
            tuning=mover.first_tuning(mover.padded(first_metric(points.position, points.gradient), 1.0)),
            moments=no_moments(size, is_dense=False),
            trail=jnp.zeros((end - begin, min(size, MAX_TRAIL)), walker.position.dtype),
            thin=jnp.ones((), int),
            num_nans=jnp.zeros((), int),
            num_gradients=jnp.zeros((), int),
            energy_squares=jnp.zeros((), walker.position.dtype),
            num_moves=jnp.zeros((), int),
        )

    def _run_chain(
        self, views: Views, key: jax.Array, chain: _Chain, count: jax.Array, num_steps: jax.Array, data: Data
    ) -> tuple[_Chain, jax.Array, dict[str, jax.Array]]:
        """`num_steps` steps of one chain from step `count` on: what is left of the warm-up, then draws."""
        mover, stop = self._mover(views, data), count + num_steps
        stages = np.full(self.num_warmup, STEP)
        stages[: self.num_warmup // 2] = schedule(self.num_warmup // 2)

        def warm(t: jax.Array, chain: _Chain) -> _Chain:
            return self._warm_step(mover, jax.random.fold_in(key, 1 + t), chain, jnp.asarray(stages)[t], t)

        def part(i: jax.Array, carry: tuple[jax.Array, _Chain]) -> tuple[jax.Array, _Chain]:
            t, chain = carry
            end = jnp.where(i == 0, self._trail[1], self.num_warmup)
            until = jnp.clip(end, t, jnp.maximum(t, stop))
            chain = jax.lax.fori_loop(t, until, warm, chain)
            is_full = (t < until) & (until == self._trail[1]) & (len(chain.trail) >= MIN_TRAIL)
            return until, jax.lax.cond(is_full, lambda chain: _lengthened(mover, chain), lambda chain: chain, chain)

        first, chain = jax.lax.fori_loop(0, 2, part, (count, chain))
        chain = chain._replace(thin=self._thin(mover, chain))
        empty = jax.eval_shape(lambda: self._draw(mover, key, chain, first)[1])
        rows = jax.tree.map(lambda a: jnp.zeros((self.block_size(views), *a.shape), a.dtype), empty)

        def draw(i: jax.Array, carry: tuple[_Chain, dict[str, jax.Array]]) -> tuple[_Chain, dict[str, jax.Array]]:
            chain, row = self._draw(mover, jax.random.fold_in(key, 1 + first + i), carry[0], first + i)
            return chain, jax.tree.map(lambda rows, one: rows.at[i].set(one), carry[1], row)

        num_kept = stop - first
        chain, rows = jax.lax.fori_loop(0, num_kept, draw, (chain, rows))
        return chain, num_kept, rows

    def _thin(self, mover: Mover, chain: _Chain) -> jax.Array:
        if self.thin is not None or self.adjusted:
            return jnp.asarray(self.thin or 1, int)
        wanted = chain.tuning.length / mover.step_size(chain.tuning)
        return jnp.clip(jnp.nan_to_num(wanted), 1, MAX_THIN).astype(int)

    def _warm_step(self, mover: Mover, key: jax.Array, chain: _Chain, stage: jax.Array, t: jax.Array) -> _Chain:
        """One step of the warm-up and what it teaches."""
        walker, info = mover.move(key, chain.walker, chain.tuning, 1.0, is_warmup=True)
        tuning = mover.tuned(chain.tuning, info, t >= self._trail[1])
        more = updated(chain.moments, walker.position, walker.logdensity_grad)
        moments = jax.tree.map(lambda new, old: jnp.where(stage >= METRIC, new, old), more, chain.moments)
        is_end = stage == WINDOW_END
        fresh = mover.restarted(tuning)._replace(inverse_mass=metric_of(moments, tuning.inverse_mass))
        tuning = jax.tree.map(lambda new, old: jnp.where(is_end, new, old), fresh, tuning)
        moments = jax.tree.map(lambda array: jnp.where(is_end, 0.0, array), moments)
        kept = walker.position[: chain.trail.shape[1]]
        place = jnp.where(t >= self._trail[0], t - self._trail[0], len(chain.trail))
        return chain._replace(
            walker=walker,
            tuning=tuning,
            moments=moments,
            trail=chain.trail.at[place].set(kept, mode="drop"),
            num_gradients=chain.num_gradients + info["num_gradients"],
        )

    def _draw(self, mover: Mover, key: jax.Array, chain: _Chain, t: jax.Array) -> tuple[_Chain, dict[str, jax.Array]]:
        """`thin` steps and the row of the last; twice as many of half the size when the draws are complete."""
        halvings = t >= self.num_warmup + self.num_draws
        scale = jnp.where(halvings, 0.5, 1.0)
        thin = self.thin if self.thin is not None else chain.thin
        thin = jnp.where(halvings, 2 * thin, thin) if self.self_check else thin  # a constant makes the faster loop

        def step(j: jax.Array, carry: tuple[Walker, dict[str, jax.Array]]) -> tuple[Walker, dict[str, jax.Array]]:
            walker, total = carry
            walker, info = mover.move(jax.random.fold_in(key, j), walker, chain.tuning, scale, is_warmup=False)
            return walker, jax.tree.map(jnp.add, total, info)

        nothing = jax.eval_shape(lambda: mover.move(key, chain.walker, chain.tuning, scale, is_warmup=False)[1])
        zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), nothing)
        walker, total = jax.lax.fori_loop(0, thin, step, (chain.walker, zero))
        row = {**mover.row(walker, total, thin), "num_nans": total["num_nans"]}
        return chain._replace(
            walker=walker,
            num_nans=chain.num_nans + total["num_nans"],
            num_gradients=chain.num_gradients + total["num_gradients"],
            energy_squares=chain.energy_squares + jnp.where(halvings, 0.0, total["energy_square"]),
            num_moves=chain.num_moves + jnp.where(halvings, 0, thin),
        ), row


def _lengthened(mover: Mover, chain: _Chain) -> _Chain:
    """The chain with L as its trail tells it, and the step size to be learnt anew."""
    length = mover.length(chain.tuning, autocorrelation(chain.trail))
    return chain._replace(tuning=mover.restarted(chain.tuning)._replace(length=length))
