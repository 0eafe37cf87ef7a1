"""Nested sampling: the evidence, and a posterior of several modes, without gradients.

Use it to compare models, where the posterior has several separated modes, or where there is no gradient; for up to
some 50 parameters. Live points are draws from the prior, so that any proper prior serves. Deletion, integration and the
metric of the live points are blackjax's nested slice sampler's; new points come from a region about the live points
while that pays (:mod:`bayesastro.inference.regions`), and then from slices walked by lanes out of step
(:mod:`bayesastro.inference.slices`).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.ns import adaptive

from bayesastro.hints import told
from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.live import (
    MAX_REGION_SIZE,
    Births,
    Live,
    born,
    draw_live,
    in_order,
    most_likelihoods,
    region_cost,
    rows_of,
)
from bayesastro.inference.nested_state import TOTALS, State, begun_sampler, log_remaining, log_total
from bayesastro.inference.reference import fitted, terms_at
from bayesastro.inference.refinement import Refinement, begun, compared, offered, proposing, refined
from bayesastro.inference.regions import quartiles
from bayesastro.inference.spread import root
from bayesastro.inference.volumes import Evidence, equal_weights, evidence, kish, numbers_alive
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

__all__ = ["NestedSampler"]

BLOCK_BYTES = 2**26
"""Bound on the memory of one block's rows."""

MAX_BLOCK = 1000

MAX_CENTRES = 1000
"""Posterior draws that the proposal of a refinement is made from, or twice the live points if that is less."""


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
        With too few the log-evidence comes out too high: at 400 live points, with 1, 2, 3 and 5 for each parameter, by
        0.18, 0.11, 0.07 and 0.02 (± 0.04; error of one run 0.20) on Gaussian shells in 10 dimensions, 20 runs each,
        and by 0.87, 0.35, 0.00 (± 0.12; error 0.40) with 1, 2 and 3 on a Gaussian in 20 dimensions, 12 runs each.
    use_regions : bool or "auto"
        With up to ten parameters, draw new points from a region about the live points (see
        :mod:`bayesastro.inference.regions`) for as long as that takes fewer likelihoods than walks do, which are made
        afterwards: fifty times fewer on a Gaussian in five or ten dimensions. The second run of `self_check` has walks
        alone. The attribute ``drawn_from_regions`` is the share of points that came from regions. ``"auto"`` is True for
        one data set and False for several side by side, each of which would pay for its walks *and* its regions.
    remaining_evidence : float
        Ends when the live points hold less than this fraction of the evidence.
    max_iterations : int
        Ends there in any case. An iteration shrinks the volume by ``num_delete / num_live`` in its logarithm.
    self_check : bool
        Make a second, independent run with twice the inner steps, which is then the result; the difference between
        the two evidences in units of its error is the attribute ``self_check_shift``.
    refine : int
        Further likelihoods, rounded up to whole batches of `num_delete`, from which the evidence is computed anew by
        importance sampling (see :mod:`bayesastro.inference.refinement`): 7000 took the error from 0.15 to 0.01 on a
        Gaussian process with five parameters. The evidence of nested sampling stands, and `ba.diagnose` says so, unless
        the tail shape k̂ of the weights is at most 0.7 and the error smaller. The attributes ``nested_log_evidence`` and
        ``refined_log_evidence``, each with its error, ``refinement_ess``, ``refinement_pareto_k`` and ``is_refined``
        tell. Draws are those of nested sampling. A mode that nested sampling lost stays lost.
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
    max_size: ClassVar[int] = 1000

    num_live: int = 500
    num_delete: int | None = None
    num_inner_steps: int | None = None
    use_regions: bool | Literal["auto"] = "auto"
    remaining_evidence: float = 0.01
    max_iterations: int = 20_000
    self_check: bool = False
    refine: int = 0
    num_chains: int = 4
    num_draws: int = 500

    def __post_init__(self) -> None:
        require_positive(self, "num_live", "max_iterations", "num_chains", "num_draws")
        for name in ("num_delete", "num_inner_steps"):
            if getattr(self, name) is not None:
                require_positive(self, name)
        if self.refine != 0:
            require_positive(self, "refine")
        if self.use_regions not in (True, False, "auto"):
            raise ValueError(
                f'`NestedSampler` needs `use_regions` to be True, False or "auto", but {told(self.use_regions)} came.'
            )
        if self._num_delete > self.num_live // 2:
            raise ValueError(
                f"`NestedSampler` needs `num_delete` to be at most half of `num_live`, but {self._num_delete} of "
                f"{self.num_live} came. Raise `num_live`, or lower `num_delete`."
            )
        if not 0 < self.remaining_evidence < 1:
            raise ValueError(
                f"`NestedSampler` needs `remaining_evidence` between 0 and 1, but {told(self.remaining_evidence)} came."
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

    @property
    def _num_stages(self) -> int:
        return 2 if self.self_check else 1

    @property
    def _num_centres(self) -> int:
        return min(MAX_CENTRES, 2 * self.num_live)

    @property
    def _num_refinements(self) -> int:
        return -(-self.refine // self._num_delete)

    def _inner_steps(self, size: int) -> int:
        return max(10, 5 * size) if self.num_inner_steps is None else self.num_inner_steps

    def side_by_side(self) -> "NestedSampler":
        return replace(self, use_regions=False) if self.use_regions == "auto" else self

    def block_size(self, views: Views) -> int:
        row = 8 * self._num_delete * (views.unconstrained.size + 7)
        return int(np.clip(BLOCK_BYTES // row, 1, MAX_BLOCK))

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> State:
        reference = None if start is None else fitted(start)
        key_live, key_fresh, key_seed = jax.random.split(jax.random.fold_in(key, 0), 3)
        live, num_undefined = draw_live(views.unconstrained, reference, key_live, data, self.num_live)
        fresh = None
        if self.self_check:
            fresh, more = draw_live(views.unconstrained, reference, key_fresh, data, self.num_live)
            num_undefined += more
        zero, no, number = jnp.zeros((), int), jnp.zeros((), bool), jnp.zeros((), live.label.dtype)
        return State(
            count=zero,
            stage=zero,
            stage_count=zero,
            is_done=no,
            is_converged=~no,
            sampler=begun_sampler(live),
            first_live=live,
            fresh=fresh,
            reference=reference,
            seed=jax.random.bits(key_seed, (4,), "uint32"),
            num_evaluations=zero + self.num_live * self._num_stages,
            num_moves=zero,
            num_failures=zero,
            num_undefined=num_undefined,
            num_from_region=zero,
            prior=quartiles(live.position),
            region_cost=number,
            position_correlation=jnp.zeros(views.unconstrained.size, live.label.dtype),
            rank_correlation=number,
            refinement=begun(self._num_centres, live.position) if self.refine else None,
        )

    def advance(
        self, views: Views, key: jax.Array, state: State, data: Data, num_steps: jax.Array
    ) -> tuple[State, Block]:
        empty = jax.tree.map(lambda array: array[: self._num_delete], self._rows(state.sampler.particles, state.stage))
        rows = jax.tree.map(lambda a: jnp.zeros((self.block_size(views), *a.shape), a.dtype), empty)

        def iterate(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, state, rows = carry
            stage = state.stage
            state, dead = self._iteration(views, jax.random.fold_in(key, 1 + state.count), state, data)
            return i + 1, state, _noted(rows, i, self._rows(dead, stage))

        def goes_on(carry: tuple[Any, ...]) -> jax.Array:
            i, state, _ = carry
            return (i < num_steps) & ~state.is_done

        def refine(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, state, rows = carry
            now = cast(Refinement, state.refinement)
            terms_fn = partial(terms_at, views.unconstrained, state.reference, data=data)
            step_key = jax.random.fold_in(key, 1 + state.count + now.num_steps)
            drawn, log_proposal, num_undefined = refined(step_key, now, terms_fn, self._num_delete, state.count)
            state = state._replace(
                num_evaluations=state.num_evaluations + self._num_delete,
                num_undefined=state.num_undefined + num_undefined,
                refinement=now._replace(num_steps=now.num_steps + 1),
            )
            new = rows_of(drawn, self._num_stages) | {"log_proposal": log_proposal}
            return i + 1, state, _noted(rows, i, new)

        def is_to_refine(carry: tuple[Any, ...]) -> jax.Array:
            i, state, _ = carry
            return (i < num_steps) & state.is_done & (state.refinement.num_steps < self._num_refinements)

        carry = jax.lax.while_loop(goes_on, iterate, (jnp.zeros((), int), state, rows))
        if state.refinement is not None:
            i, state, rows = carry
            carry = (i, state._replace(refinement=proposing(cast(Refinement, state.refinement), state.is_done)), rows)
            carry = jax.lax.while_loop(is_to_refine, refine, carry)
        i, state, rows = carry
        flat = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), rows)
        return state, Block(i * self._num_delete, flat)

    def started(self, state: State) -> np.ndarray:
        return np.atleast_1d(np.isfinite(state.sampler.particles.loglikelihood).any())

    def progress(self, state: State) -> Progress:
        num_refined = 0 if state.refinement is None else int(state.refinement.num_steps)
        done, ratio = int(state.count) + num_refined, float(log_remaining(state.sampler.integrator))
        figures = {"log_evidence": float(log_total(state.sampler.integrator)), "log_remaining": ratio}
        if bool(state.is_done):
            return Progress(
                done, done + self._num_refinements - num_refined, "refining" if num_refined else "sampling", figures
            )
        # While the live points hold most of the evidence nothing says how long; then it falls as fast as the volume.
        left = max(1.0, (ratio - np.log(self.remaining_evidence)) * self.num_live / self._num_delete)
        left = min(left if np.isfinite(left) else 1.0, self.max_iterations - int(state.stage_count))
        stage = int(state.stage)
        if self.self_check and stage == 0:
            left += int(state.stage_count) + left
        left += self._num_refinements
        return Progress(done, done + int(np.ceil(left)), "self-check" if stage else "sampling", figures)

    def finish(self, views: Views, state: State, rows: Rows) -> Draws:
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
            "drawn_from_regions": int(state.num_from_region) / max(int(state.count) * self._num_delete, 1),
            "position_correlation": float(np.min(state.position_correlation)) / max(int(state.count), 1),
            "rank_correlation": float(state.rank_correlation) / max(int(state.count), 1),
            "failed_moves": int(state.num_failures) / moves,
            "undefined_likelihoods": int(state.num_undefined) / max(int(state.num_evaluations), 1),
        }
        if len(found) == 2:
            error = np.hypot(found[0].log_evidence_err, found[1].log_evidence_err)
            attributes["self_check_shift"] = float((found[1].log_evidence - found[0].log_evidence) / max(error, 1e-12))
        if self.refine:
            mine = rows["stage"] == self._num_stages if rows else []
            attributes |= compared(result, {name: array[mine] for name, array in rows.items()})
        return Draws(
            coordinates=points["position"][chosen].reshape(*shape, -1),
            chart="unconstrained",
            sample_stats={"lp": lp[chosen].reshape(shape)},
            points={
                "nested": (points["position"], {k: points[k] for k in kept} | {"log_weight": result.log_weight}),
            },
            attributes=attributes,
        )

    def _points(self, state: State, rows: Rows, stage: int) -> dict[str, np.ndarray]:
        """All points of a stage in the order of their deaths, the live ones last."""
        live = state.first_live if stage < int(state.stage) else state.sampler.particles
        last = {name: np.asarray(array) for name, array in self._rows(live, np.asarray(stage)).items()}
        if not rows:
            return last
        mine = rows["stage"] == stage
        return {name: np.concatenate([rows[name][mine], last[name]]) for name in last}

    def _evidence(self, points: dict[str, np.ndarray], rng: np.random.Generator) -> Evidence:
        log_likelihood = points["log_likelihood"]
        return evidence(log_likelihood, numbers_alive(len(log_likelihood), self.num_live, self._num_delete), rng)

    def _rows(self, live: Live, stage: Any) -> dict[str, Any]:
        rows = rows_of(live, stage)
        return rows | {"log_proposal": 0 * live.logdensity} if self.refine else rows

    def _iteration(self, views: Views, key: jax.Array, state: State, data: Data) -> tuple[State, Live]:
        """One batch of deaths and births; the next stage's live points where a stage ends."""
        chart, places = views.unconstrained, jnp.arange(self._num_delete)
        num_moves = self._inner_steps(chart.size) * (1 + state.stage)
        most_moves = self._inner_steps(chart.size) * self._num_stages
        region = None
        if self.use_regions and chart.size <= MAX_REGION_SIZE:
            most = most_likelihoods(self._inner_steps(chart.size), self._num_delete)
            region = (state.prior, jnp.where(jnp.isfinite(state.region_cost) & (state.stage == 0), most, 0))

        def births(key: jax.Array, sampler: Any, _: Any, metric: jax.Array) -> tuple[Live, Births]:
            terms_fn = partial(terms_at, chart, state.reference, data=data)
            live = sampler.particles
            return born(key, live, metric, terms_fn, self._num_delete, most_moves, num_moves, region, state.count)

        kernel = adaptive.build_kernel(
            lambda sampler: (places, places),
            births,
            cast(Any, _with_metric),
        )
        log_volume = state.sampler.integrator.logX
        sampler, info = kernel(key, state.sampler)
        sampler = sampler._replace(particles=in_order(sampler.particles))
        stage_count = state.stage_count + 1
        is_converged = log_remaining(sampler.integrator) < np.log(self.remaining_evidence)
        ends = is_converged | (stage_count >= self.max_iterations)
        state = state._replace(
            refinement=offered(key, state.refinement, info.particles, log_volume, sampler, ends),
            count=state.count + 1,
            stage_count=stage_count,
            is_converged=jnp.where(ends, state.is_converged & is_converged, state.is_converged),
            sampler=sampler,
            region_cost=region_cost(state.region_cost, info.update_info, self._inner_steps(chart.size)),
            **{name: getattr(state, name) + getattr(info.update_info, name) for name in TOTALS},
        )
        if state.fresh is None:
            return state._replace(is_done=ends), info.particles
        following = state._replace(
            stage=state.stage + 1,
            stage_count=jnp.zeros_like(stage_count),
            sampler=begun_sampler(state.fresh),
            first_live=sampler.particles,
        )
        turns = ends & (state.stage == 0)
        state = jax.tree.map(lambda new, old: jnp.where(turns, new, old), following, state)
        return state._replace(is_done=ends & ~turns), info.particles


def _with_metric(key: jax.Array, sampler: Any, info: Any, parameters: Any) -> dict[str, jax.Array]:
    return {"metric": root(sampler.particles.position)}


def _noted(rows: dict[str, Any], i: jax.Array, new: dict[str, Any]) -> dict[str, Any]:
    return jax.tree.map(lambda all_rows, some: all_rows.at[i].set(some), rows, new)
