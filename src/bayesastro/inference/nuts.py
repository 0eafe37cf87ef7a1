"""The No-U-Turn sampler: gradient-based Markov chain Monte Carlo, the first choice for smooth posteriors.

Use it for up to some 10⁴ parameters whose posterior has one mode, or modes that its chains can find. Transitions are
blackjax's (multinomial NUTS, iterative doubling); warm-up is Stan's: dual averaging of the step size, and windows of
doubling length in which the mass matrix is learnt from the draws.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.step_size import (
    DualAveragingAdaptationState,
    dual_averaging_adaptation,
    find_reasonable_step_size,
)
from blackjax.mcmc import hmc, metrics
from blackjax.mcmc import nuts as kernels

from bayesastro.hints import told
from bayesastro.inference.chains import ChainEngine, ChainState
from bayesastro.inference.engine import Draws, Progress, Rows, require_positive
from bayesastro.inference.metric import (
    NOTHING,
    Moments,
    curvature_metric,
    first_metric,
    metric_at,
    metric_of,
    no_moments,
    relative_metric_of,
    schedule,
    updated,
)
from bayesastro.inference.starts import starting_points
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

__all__ = ["NUTS"]

DIVERGENCE_THRESHOLD = 1000
"""Energy error beyond which a trajectory counts as divergent (Stan's and everyone's value)."""

BLOCK_BYTES = 2**27
"""Bound on the memory of one block's rows."""

MAX_BLOCK = 1000


class _Chain(NamedTuple):
    """State of one chain; with a leading axis, of all."""

    hmc: Any
    """An `hmc.HMCState`, whose annotations say nothing of arrays."""
    step_size: DualAveragingAdaptationState
    moments: Moments
    inverse_mass: jax.Array
    has_diverged: jax.Array
    """Since the last draw kept."""
    num_divergences: jax.Array
    num_gradients: jax.Array


@dataclass(frozen=True, kw_only=True)
class NUTS(ChainEngine):
    """No-U-Turn sampler with window adaptation.

    Parameters
    ----------
    num_chains : int
        Chains, vectorised on a device and spread over devices when there are several.
    num_warmup : int
        Transitions of adaptation for each chain, not kept.
    num_draws : int
        Draws kept for each chain.
    thin : int
        Keep every `thin`-th transition.
    target_accept : float
        Mean acceptance probability that the step size is adapted to. Raise it when there are divergences.
    mass_matrix : {"diagonal", "dense", "hessian"}
        Dense pays for strongly correlated posteriors of up to some hundred parameters. ``"hessian"`` is dense and begins with
        the curvature at each chain's start: for starts near a mode, such as Pathfinder's, when scales differ by orders of
        magnitude. It costs some four gradients for each parameter.
    max_tree_depth : int
        A trajectory has at most ``2**max_tree_depth - 1`` leapfrog steps.
    num_starts : int
        Draws from the prior for each chain, the best of which it starts from, and from whose gradients the first mass
        matrix is made. With ``fit(..., start=result)``, draws of that result, the first of which it starts from; a dense
        mass matrix then begins with their correlations, and likes twice as many of them as parameters.

    References
    ----------
    Hoffman & Gelman 2014, JMLR 15, 1593 (arXiv:1111.4246), algorithm 6;
    Betancourt 2017, arXiv:1701.02434, appendix A (multinomial sampling);
    Phan, Pradhan & Jankowiak 2019, arXiv:1912.11554 (iterative doubling);
    Carpenter et al. 2017, J. Stat. Softw. 76, 1 (window adaptation).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density", "gradient"})
    exactness: ClassVar[str] = "exact"
    chart: ClassVar = "centred"
    references: ClassVar[tuple[str, ...]] = ("arXiv:1111.4246", "arXiv:1701.02434", "arXiv:1912.11554")

    num_warmup: int = 1000
    num_draws: int = 1000
    thin: int = 1
    target_accept: float = 0.8
    mass_matrix: Literal["diagonal", "dense", "hessian"] = "diagonal"
    max_tree_depth: int = 10
    num_starts: int = 20

    def __post_init__(self) -> None:
        require_positive(self, "num_chains", "num_warmup", "num_draws", "thin", "max_tree_depth", "num_starts")
        if not 0 < self.target_accept < 1:
            raise ValueError(f"`NUTS` needs `target_accept` between 0 and 1, but {told(self.target_accept)} came.")
        if self.mass_matrix not in ("diagonal", "dense", "hessian"):
            raise ValueError(
                f'`NUTS` needs `mass_matrix` "diagonal", "dense" or "hessian", but {told(self.mass_matrix)} came.'
            )

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        size = problem.unconstrained.size
        if self.mass_matrix != "diagonal" and size > 5000:
            raise ValueError(
                f"A dense mass matrix for {size} parameters takes {8 * size**2 / 1e9:.1f} GB for each chain. "
                'Use `mass_matrix="diagonal"`.'
            )

    def block_size(self, views: Views) -> int:
        row = 8 * self.num_chains * (2 * views.centred.size + 8)
        return int(np.clip(BLOCK_BYTES // row, 1, MAX_BLOCK))

    def started(self, state: ChainState) -> np.ndarray:
        return np.isfinite(state.chains.hmc.logdensity)

    def progress(self, state: ChainState) -> Progress:
        done, total = int(state.count), self.num_warmup + self.num_draws * self.thin
        figures = {"divergences": float(np.sum(state.chains.num_divergences))}
        return Progress(done, total, "warm-up" if done < self.num_warmup else "sampling", figures)

    def finish(self, views: Views, state: ChainState, rows: Rows) -> Draws:
        by_chain = {name: np.moveaxis(array, 0, 1) for name, array in rows.items()}
        stats = {k: v for k, v in by_chain.items() if k not in ("position", "divergence")}
        stats["reached_max_treedepth"] = stats["tree_depth"] >= self.max_tree_depth
        chain, draw = np.nonzero(stats["diverging"])
        # A transition starts at the draw before it; with thinning, at the one before the window that diverged.
        where = {"chain": chain, "draw": draw}
        points = {
            "divergences": (by_chain["divergence"][chain, draw], where),
            "divergence_starts": (by_chain["position"][chain, np.maximum(draw - 1, 0)], where),
        }
        return Draws(
            coordinates=by_chain["position"],
            chart="centred",
            sample_stats=stats,
            points=points if chain.size else {},
            attributes={"num_gradients": int(np.sum(state.chains.num_gradients))},
        )

    def _start(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _Chain:
        """A chain at the best of its prior draws or at one of `start`, and a step size that one leapfrog step accepts."""
        chart, is_dense = views.centred, self.mass_matrix != "diagonal"
        log_density = lambda z: chart.log_density(z, data)  # noqa: E731
        key_start, key_step = jax.random.split(jax.random.fold_in(key, 0))
        points, chosen = starting_points(chart, key_start, data, self.num_starts, start)
        first = cast(Any, hmc.HMCState)(*chosen)
        inverse_mass = first_metric(points.position, points.gradient)
        if self.mass_matrix == "hessian":
            inverse_mass = curvature_metric(jax.grad(log_density), first.position, inverse_mass)
        elif is_dense:
            inverse_mass = jnp.diag(inverse_mass)
            inverse_mass = inverse_mass if start is None else metric_at(points.position, points.gradient, inverse_mass)
        kernel: Any = hmc.build_kernel(divergence_threshold=DIVERGENCE_THRESHOLD)

        def one_step(step_size: Any) -> Any:
            return lambda key, state: kernel(key, state, log_density, step_size, inverse_mass, 1)

        one = jnp.ones((), first.logdensity.dtype)
        search: Any = find_reasonable_step_size
        step_size = search(key_step, one_step, first, one, self.target_accept)
        # Where no step was acceptable, or every one, the search runs into the limits of the floats.
        step_size = jnp.where(jnp.isfinite(step_size) & (step_size > 0), step_size, one)
        step_init, _, _ = dual_averaging_adaptation(self.target_accept)
        zero = jnp.zeros((), int)
        return _Chain(
            hmc=first,
            step_size=step_init(step_size),
            moments=no_moments(chart.size, is_dense),
            inverse_mass=inverse_mass,
            has_diverged=jnp.zeros((), bool),
            num_divergences=zero,
            num_gradients=zero,
        )

    def _run_chain(
        self, views: Views, key: jax.Array, chain: _Chain, count: jax.Array, num_steps: jax.Array, data: Data
    ) -> tuple[_Chain, jax.Array, dict[str, jax.Array]]:
        """`num_steps` transitions of one chain from step `count` on; rows of the draws kept."""
        stages = jnp.asarray(schedule(self.num_warmup))
        empty = _empty_row(views.centred.size, chain.hmc.position.dtype)
        rows = jax.tree.map(lambda a: jnp.zeros((self.block_size(views), *a.shape), a.dtype), empty)

        def step(i: jax.Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
            chain, num_kept, rows = carry
            t = count + i
            chain, row = self._transition(views, jax.random.fold_in(key, 1 + t), chain, stages, t, data)
            rows = jax.tree.map(lambda all_rows, one: all_rows.at[num_kept].set(one), rows, row)
            since_warmup = t + 1 - self.num_warmup
            keep = (since_warmup > 0) & (since_warmup % self.thin == 0)
            chain = chain._replace(has_diverged=chain.has_diverged & (since_warmup > 0) & ~keep)
            return chain, num_kept + keep, rows

        return jax.lax.fori_loop(0, num_steps, step, (chain, jnp.zeros((), int), rows))

    def _transition(
        self, views: Views, key: jax.Array, chain: _Chain, stages: jax.Array, t: jax.Array, data: Data
    ) -> tuple[_Chain, dict[str, jax.Array]]:
        """One NUTS transition, and adaptation while `t` is in the warm-up."""
        step_init, step_update, step_final = dual_averaging_adaptation(self.target_accept)
        is_warmup = t < self.num_warmup
        step_size = jnp.where(is_warmup, jnp.exp(chain.step_size.log_step_size), step_final(chain.step_size))
        kernel: Any = kernels.build_kernel(divergence_threshold=DIVERGENCE_THRESHOLD)
        state, info = kernel(
            key,
            chain.hmc,
            lambda z: views.centred.log_density(z, data),
            step_size,
            chain.inverse_mass,
            self.max_tree_depth,
        )

        def step_only(chain: _Chain) -> _Chain:
            return chain._replace(step_size=step_update(chain.step_size, info.acceptance_rate))

        def moments_too(chain: _Chain) -> _Chain:
            moments = updated(chain.moments, state.position, state.logdensity_grad)
            return step_only(chain)._replace(moments=moments)

        def window_end(chain: _Chain) -> _Chain:
            chain = moments_too(chain)
            learnt = relative_metric_of if self.mass_matrix == "hessian" else metric_of
            inverse_mass = learnt(chain.moments, chain.inverse_mass)
            step = step_init(step_final(chain.step_size))
            empty = jax.tree.map(jnp.zeros_like, chain.moments)
            return chain._replace(inverse_mass=inverse_mass, step_size=step, moments=empty)

        row = _row(state, info, step_size, chain.inverse_mass)
        stage = jnp.where(is_warmup, stages[jnp.minimum(t, self.num_warmup - 1)], NOTHING)
        chain = jax.lax.switch(stage, [lambda chain: chain, step_only, moments_too, window_end], chain)
        chain = chain._replace(
            hmc=state,
            has_diverged=chain.has_diverged | info.is_divergent,
            num_divergences=chain.num_divergences + (info.is_divergent & ~is_warmup),
            num_gradients=chain.num_gradients + info.num_integration_steps,
        )
        return chain, {**row, "diverging": chain.has_diverged}


def _empty_row(size: int, dtype: Any) -> dict[str, jax.Array]:
    number, whole, flag, point = jnp.zeros((), dtype), jnp.zeros((), int), jnp.zeros((), bool), jnp.zeros(size, dtype)
    return {
        "position": point,
        "divergence": point,
        "lp": number,
        "diverging": flag,
        "energy": number,
        "tree_depth": whole,
        "n_steps": whole,
        "acceptance_rate": number,
        "step_size": number,
    }


def _row(state: Any, info: Any, step_size: jax.Array, inverse_mass: jax.Array) -> dict[str, Any]:
    """What is kept of a transition; `divergence` is the end of the trajectory with the larger energy."""
    kinetic = metrics.default_metric(inverse_mass).kinetic_energy
    left, right = info.trajectory_leftmost_state, info.trajectory_rightmost_state
    left_energy, right_energy = (kinetic(end.momentum) - end.logdensity for end in (left, right))
    right_is_worse = ~(left_energy > right_energy) & ~jnp.isnan(left_energy)
    return {
        "position": state.position,
        "divergence": jnp.where(right_is_worse, right.position, left.position),
        "lp": state.logdensity,
        "diverging": info.is_divergent,
        "energy": info.energy,
        "tree_depth": jnp.asarray(info.num_trajectory_expansions, int),
        "n_steps": jnp.asarray(info.num_integration_steps, int),
        "acceptance_rate": info.acceptance_rate,
        "step_size": step_size,
    }
