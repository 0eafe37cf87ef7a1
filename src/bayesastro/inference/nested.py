"""Nested sampling: the evidence, and a posterior of several modes, without gradients.

Use it to compare models, where the posterior has several separated modes, or where there is no gradient; for up to
some 50 parameters. Live points are draws from the prior, so that any proper prior serves. Deletion, integration and the
metric of the live points are blackjax's nested slice sampler's; the slices are walked by lanes out of step
(:mod:`bayesastro.inference.slices`).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.ns import adaptive
from blackjax.ns.integrator import NSIntegrator, init_integrator
from jax.scipy.linalg import solve_triangular

from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.reference import Points, Reference, draw_points, fitted, terms_at
from bayesastro.inference.slices import Threshold, is_above, walk
from bayesastro.inference.spread import root
from bayesastro.inference.volumes import Evidence, equal_weights, evidence, kish, numbers_alive
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

__all__ = ["NestedSampler"]

BLOCK_BYTES = 2**26
"""Bound on the memory of one block's rows."""

MAX_BLOCK = 1000


class _Particle(NamedTuple):
    """Live points, in the order of their likelihood; the first four names are blackjax's."""

    position: jax.Array
    logdensity: jax.Array
    loglikelihood: jax.Array
    loglikelihood_birth: jax.Array
    label: jax.Array
    insertion_rank: jax.Array
    birth_iteration: jax.Array
    """−1 for draws from the prior."""


class _State(NamedTuple):
    count: jax.Array
    """Iterations of all stages."""
    stage: jax.Array
    """0, or 1 in the self-check's second run."""
    stage_count: jax.Array
    is_done: jax.Array
    is_converged: jax.Array
    """Of the stages so far."""
    sampler: adaptive.AdaptiveNSState
    first_live: _Particle
    """Live points that the first stage ended with; meaningless before."""
    fresh: _Particle | None
    """Live points of the second stage before its first iteration."""
    reference: Reference | None
    seed: jax.Array
    """Of what is random in `finish`."""
    num_evaluations: jax.Array
    num_moves: jax.Array
    num_failures: jax.Array
    num_undefined: jax.Array
    position_correlation: jax.Array
    """Sum over iterations, of new points with those that their walks began at, by coordinate."""
    rank_correlation: jax.Array
    """The same for their ranks in likelihood."""


class _Births(NamedTuple):
    """What an iteration's births took."""

    num_evaluations: jax.Array
    num_failures: jax.Array
    num_undefined: jax.Array
    position_correlation: jax.Array
    rank_correlation: jax.Array


@dataclass(frozen=True, kw_only=True)
class NestedSampler(Engine):
    """Nested slice sampling.

    The result has the evidence in its attributes, equal-weight draws as its posterior, and in the group ``nested``
    every point of the run with its likelihood, the likelihood it was born at, its weight, and its insertion rank: the
    fraction of the points alive at its birth that it came to lie above. With ``fit(..., start=result)`` live points
    are draws of a Student t fitted to that result (see :mod:`bayesastro.inference.reference`), and likelihoods are
    relative to it.

    Parameters
    ----------
    num_live : int
        Live points, more than there are parameters. The error of the log-evidence is √(information / `num_live`).
    num_delete : int, optional
        Points replaced in an iteration, side by side; by default a tenth of `num_live`. More serve a wider device.
    num_inner_steps : int, optional
        Slice moves from a live point to a new one; by default five for each parameter, and at least 10.
    remaining_evidence : float
        Ends when the live points hold less than this fraction of the evidence.
    max_iterations : int
        Ends there in any case. An iteration shrinks the volume by ``num_delete / num_live`` in its logarithm.
    self_check : bool
        Make a second, independent run with twice the inner steps, which is then the result; the difference between
        the two evidences in units of its error is the attribute ``self_check_shift``.
    num_chains, num_draws : int
        Equal-weight draws, dealt at random into `num_chains` rows of `num_draws`. They are drawn from a finite number of
        points: the attribute ``ess`` says how many independent draws they are worth.

    References
    ----------
    Skilling 2006, Bayesian Anal. 1, 833 (doi:10.1214/06-BA127);
    Yallup, Kroupa & Handley 2026, arXiv:2601.23252 (nested slice sampling);
    Fowlie, Handley & Su 2021, MNRAS 503, 1199 (arXiv:2010.13884; plateaus).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density", "proper_prior"})
    exactness: ClassVar[str] = "exact"
    references: ClassVar[tuple[str, ...]] = ("doi:10.1214/06-BA127", "arXiv:2601.23252", "arXiv:2010.13884")

    num_live: int = 500
    num_delete: int | None = None
    num_inner_steps: int | None = None
    remaining_evidence: float = 0.01
    max_iterations: int = 20_000
    self_check: bool = False
    num_chains: int = 4
    num_draws: int = 500

    def __post_init__(self) -> None:
        require_positive(self, "num_live", "max_iterations", "num_chains", "num_draws")
        for name in ("num_delete", "num_inner_steps"):
            if getattr(self, name) is not None:
                require_positive(self, name)
        if self._num_delete > self.num_live // 2:
            raise ValueError(
                f"`NestedSampler` needs `num_delete` to be at most half of `num_live`, but {self._num_delete} of "
                f"{self.num_live} came. Raise `num_live`, or lower `num_delete`."
            )
        if not 0 < self.remaining_evidence < 1:
            raise ValueError(
                f"`NestedSampler` needs `remaining_evidence` between 0 and 1, but {self.remaining_evidence!r} came."
            )

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        size = problem.unconstrained.size
        if self.num_live <= size:
            raise ValueError(
                f"`NestedSampler` needs more live points than there are parameters, but `num_live` is {self.num_live} "
                f"for {size} of them. Raise it, to several times their number if you can, or use `SMC`."
            )

    @property
    def _num_delete(self) -> int:
        return max(1, self.num_live // 10) if self.num_delete is None else self.num_delete

    def _inner_steps(self, size: int) -> int:
        return max(10, 5 * size) if self.num_inner_steps is None else self.num_inner_steps

    def block_size(self, views: Views) -> int:
        row = 8 * self._num_delete * (views.unconstrained.size + 7)
        return int(np.clip(BLOCK_BYTES // row, 1, MAX_BLOCK))

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        reference = None if start is None else fitted(start)
        key_live, key_fresh, key_seed = jax.random.split(jax.random.fold_in(key, 0), 3)
        live = self._live(views, reference, key_live, data)
        zero, no, number = jnp.zeros((), int), jnp.zeros((), bool), jnp.zeros((), live.label.dtype)
        return _State(
            count=zero,
            stage=zero,
            stage_count=zero,
            is_done=no,
            is_converged=~no,
            sampler=_sampler(live),
            first_live=live,
            fresh=self._live(views, reference, key_fresh, data) if self.self_check else None,
            reference=reference,
            seed=jax.random.bits(key_seed, (4,), "uint32"),
            num_evaluations=zero + self.num_live * (2 if self.self_check else 1),
            num_moves=zero,
            num_failures=zero,
            num_undefined=zero,
            position_correlation=jnp.zeros(views.unconstrained.size, live.label.dtype),
            rank_correlation=number,
        )

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        empty = jax.tree.map(lambda array: array[: self._num_delete], _row(state.sampler.particles, state.stage))
        rows = jax.tree.map(lambda a: jnp.zeros((self.block_size(views), *a.shape), a.dtype), empty)

        def iterate(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, state, rows = carry
            stage = state.stage
            state, dead = self._iteration(views, jax.random.fold_in(key, 1 + state.count), state, data)
            rows = jax.tree.map(lambda all_rows, new: all_rows.at[i].set(new), rows, _row(dead, stage))
            return i + 1, state, rows

        def goes_on(carry: tuple[Any, ...]) -> jax.Array:
            i, state, _ = carry
            return (i < num_steps) & ~state.is_done

        i, state, rows = jax.lax.while_loop(goes_on, iterate, (jnp.zeros((), int), state, rows))
        flat = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), rows)
        return state, Block(i * self._num_delete, flat)

    def started(self, state: _State) -> np.ndarray:
        return np.isfinite(state.sampler.particles.loglikelihood).any(keepdims=True)

    def progress(self, state: _State) -> Progress:
        done, ratio = int(state.count), float(_log_remaining(state.sampler.integrator))
        figures = {"log_evidence": float(_log_total(state.sampler.integrator)), "log_remaining": ratio}
        if bool(state.is_done):
            return Progress(done, done, "sampling", figures)
        # While the live points hold most of the evidence nothing says how long; then it falls as fast as the volume.
        left = max(1.0, (ratio - np.log(self.remaining_evidence)) * self.num_live / self._num_delete)
        left = min(left if np.isfinite(left) else 1.0, self.max_iterations - int(state.stage_count))
        stage = int(state.stage)
        if self.self_check and stage == 0:
            left += int(state.stage_count) + left
        return Progress(done, done + int(np.ceil(left)), "self-check" if stage else "sampling", figures)

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        rng = np.random.default_rng(np.asarray(state.seed))
        stages = [self._points(state, rows, stage) for stage in range(int(state.stage) + 1)]
        found = [self._evidence(points, rng) for points in stages]
        points, result = stages[-1], found[-1]
        chosen = equal_weights(result.log_weight, self.num_chains * self.num_draws, rng)
        shape = (self.num_chains, self.num_draws)
        lp = points["log_prior"] + points["log_likelihood"]
        kept = ("log_likelihood", "log_likelihood_birth", "insertion_rank", "birth_iteration")
        moves = max(int(state.num_moves), 1)
        attributes = {
            "log_evidence": result.log_evidence,
            "log_evidence_err": result.log_evidence_err,
            "information": result.information,
            "ess": kish(result.log_weight),
            "is_converged": int(state.is_done & state.is_converged),
            "num_inner_steps": self._inner_steps(views.unconstrained.size) * len(stages),
            "num_likelihoods": int(state.num_evaluations),
            "num_iterations": int(state.count),
            "position_correlation": float(np.min(state.position_correlation)) / max(int(state.count), 1),
            "rank_correlation": float(state.rank_correlation) / max(int(state.count), 1),
            "failed_moves": int(state.num_failures) / moves,
            "undefined_likelihoods": int(state.num_undefined) / max(int(state.num_evaluations), 1),
        }
        if len(found) == 2:
            error = np.hypot(found[0].log_evidence_err, found[1].log_evidence_err)
            attributes["self_check_shift"] = float((found[1].log_evidence - found[0].log_evidence) / max(error, 1e-12))
        return Draws(
            coordinates=points["position"][chosen].reshape(*shape, -1),
            chart="unconstrained",
            sample_stats={"lp": lp[chosen].reshape(shape)},
            points={
                "nested": (points["position"], {k: points[k] for k in kept} | {"log_weight": result.log_weight}),
            },
            attributes=attributes,
        )

    def _points(self, state: _State, rows: Rows, stage: int) -> dict[str, np.ndarray]:
        """All points of a stage in the order of their deaths, the live ones last."""
        live = state.first_live if stage < int(state.stage) else state.sampler.particles
        last = {name: np.asarray(array) for name, array in _row(live, np.asarray(stage)).items()}
        if not rows:
            return last
        mine = rows["stage"] == stage
        return {name: np.concatenate([rows[name][mine], last[name]]) for name in last}

    def _evidence(self, points: dict[str, np.ndarray], rng: np.random.Generator) -> Evidence:
        log_likelihood = points["log_likelihood"]
        return evidence(log_likelihood, numbers_alive(len(log_likelihood), self.num_live, self._num_delete), rng)

    def _live(self, views: Views, reference: Reference | None, key: jax.Array, data: Data) -> _Particle:
        key_points, key_label = jax.random.split(key)
        points = draw_points(views.unconstrained, reference, key_points, data, self.num_live)
        # A likelihood that is not a number is one that the data exclude; `draw_points` says so of the others.
        log_likelihood = jnp.where(jnp.isnan(points.log_likelihood), -jnp.inf, points.log_likelihood)
        label = jax.random.exponential(key_label, log_likelihood.shape, log_likelihood.dtype)
        nothing = jnp.full_like(log_likelihood, jnp.nan)
        birth, born = jnp.full_like(log_likelihood, -jnp.inf), jnp.full(log_likelihood.shape, -1)
        return _sorted(_Particle(points.position, points.log_prior, log_likelihood, birth, label, nothing, born))

    def _iteration(self, views: Views, key: jax.Array, state: _State, data: Data) -> tuple[_State, _Particle]:
        """One batch of deaths and births; the next stage's live points where a stage ends."""
        places = jnp.arange(self._num_delete)
        num_moves = self._inner_steps(views.unconstrained.size) * (1 + state.stage)
        kernel = adaptive.build_kernel(
            lambda sampler: (places, places),
            lambda key, sampler, _, **parameters: self._births(
                views, key, sampler.particles, state, data, num_moves, **parameters
            ),
            lambda key, sampler, info, parameters: {"metric": root(sampler.particles.position)},
        )
        sampler, info = kernel(key, state.sampler)
        sampler = sampler._replace(particles=_sorted(sampler.particles))
        births: _Births = info.update_info
        stage_count = state.stage_count + 1
        is_converged = _log_remaining(sampler.integrator) < np.log(self.remaining_evidence)
        ends = is_converged | (stage_count >= self.max_iterations)
        state = state._replace(
            count=state.count + 1,
            stage_count=stage_count,
            is_converged=jnp.where(ends, state.is_converged & is_converged, state.is_converged),
            sampler=sampler,
            num_moves=state.num_moves + num_moves * self._num_delete,
            **{name: getattr(state, name) + value for name, value in births._asdict().items()},
        )
        if state.fresh is None:
            return state._replace(is_done=ends), info.particles
        following = state._replace(
            stage=state.stage + 1,
            stage_count=jnp.zeros_like(stage_count),
            sampler=_sampler(state.fresh),
            first_live=sampler.particles,
        )
        turns = ends & (state.stage == 0)
        state = jax.tree.map(lambda new, old: jnp.where(turns, new, old), following, state)
        return state._replace(is_done=ends & ~turns), info.particles

    def _births(
        self,
        views: Views,
        key: jax.Array,
        live: _Particle,
        state: _State,
        data: Data,
        num_moves: jax.Array,
        metric: jax.Array,
    ) -> tuple[_Particle, _Births]:
        """New points above the highest of the dying, each by a walk from one of the survivors."""
        number, size = self._num_delete, views.unconstrained.size
        most = self._inner_steps(size) * (2 if self.self_check else 1)
        key_start, key_direction, key_walk = jax.random.split(key, 3)
        threshold = Threshold(live.loglikelihood[number - 1], live.label[number - 1])
        # One survivor from each of as many parts of the order: all are as likely, and few are taken twice.
        places = (jnp.arange(number) + jax.random.uniform(key_start, (number,))) / number
        chosen = number + (places * (self.num_live - number)).astype(int)
        start = Points(live.position[chosen], live.logdensity[chosen], live.loglikelihood[chosen])
        # Two standard deviations of the live points long (arXiv:2601.23252).
        normal = jax.random.normal(key_direction, (number, most, size), metric.dtype)
        directions = 2 * (normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)) @ metric.T
        walks = jax.vmap(walk, (0, 0, None, 0, None, None))(
            jax.random.split(key_walk, number),
            start,
            threshold,
            directions,
            num_moves,
            lambda position: terms_at(views.unconstrained, state.reference, position, data),
        )
        point, label = walks.point, walks.label
        birth = jnp.broadcast_to(threshold.log_likelihood, (number,))
        rank = _insertion_ranks(point.log_likelihood, label, live, number)
        start_rank = (chosen - number + 0.5) / (self.num_live - number)
        born = jnp.broadcast_to(state.count, (number,))
        return _Particle(point.position, point.log_prior, point.log_likelihood, birth, label, rank, born), _Births(
            jnp.sum(walks.num_evaluations),
            jnp.sum(walks.num_failures),
            jnp.sum(walks.num_undefined),
            _position_correlation(start.position, point.position, live.position, metric),
            12 * jnp.mean((start_rank - 0.5) * (rank - 0.5)),
        )


def _sampler(live: _Particle) -> adaptive.AdaptiveNSState:
    return adaptive.AdaptiveNSState(live, init_integrator(live), {"metric": root(live.position)})


def _sorted(particles: _Particle) -> _Particle:
    order = jnp.lexsort((particles.label, particles.loglikelihood))
    return jax.tree.map(lambda array: array[order], particles)


def _position_correlation(start: jax.Array, end: jax.Array, live: jax.Array, metric: jax.Array) -> jax.Array:
    """Correlation of two sets of points in each of the coordinates in which the live points are white."""
    white = lambda z: solve_triangular(metric, (z - jnp.mean(live, axis=0)).T, lower=True)  # noqa: E731
    return jnp.mean(white(start) * white(end), axis=1)


def _insertion_ranks(log_likelihood: jax.Array, label: jax.Array, live: _Particle, number: int) -> jax.Array:
    """Ranks as fractions. Each point of a batch counts those before it among the points it could lie above: so ranks
    are independent of each other (Rényi 1962), which the ranks among the survivors alone are not.
    """
    survivors = Threshold(live.loglikelihood[number:], live.label[number:])
    batch = Threshold(log_likelihood, label)
    above = jax.vmap(lambda x, y, points: jnp.sum(is_above(x, y, points)), (0, 0, None))(
        log_likelihood, label, survivors
    )
    pairs = jax.vmap(is_above, (0, 0, None))(log_likelihood, label, batch)
    above += jnp.sum(jnp.tril(pairs, -1), axis=1)
    return (above + 0.5) / (len(live.label) - number + jnp.arange(number) + 1)


def _log_total(integrator: NSIntegrator) -> jax.Array:
    return np.logaddexp(integrator.logZ, integrator.logZ_live)


def _log_remaining(integrator: NSIntegrator) -> jax.Array:
    return integrator.logZ_live - jnp.logaddexp(integrator.logZ, integrator.logZ_live)


def _row(particles: _Particle, stage: Any) -> dict[str, Any]:
    return {
        "position": particles.position,
        "log_prior": particles.logdensity,
        "log_likelihood": particles.loglikelihood,
        "log_likelihood_birth": particles.loglikelihood_birth,
        "insertion_rank": particles.insertion_rank,
        "birth_iteration": particles.birth_iteration,
        "stage": stage + 0 * (particles.label < 0),
    }
