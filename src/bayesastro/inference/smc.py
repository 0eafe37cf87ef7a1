"""Sequential Monte Carlo: a population carried from the prior to the posterior through tempered distributions.

Use it for posteriors of several modes and for evidences, where nested sampling takes too long and the likelihood has a
gradient, and on devices that evaluate thousands of points at once. Resampling and moves are blackjax's.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.smc.resampling import systematic
from jax.scipy.special import logsumexp

from bayesastro.hints import told
from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.moves import Moved, hamiltonian_moves, random_walk_moves
from bayesastro.inference.reference import Points, Reference, draw_points, fitted, terms_at
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

__all__ = ["SMC"]

MAX_BLOCK = 20

BISECTIONS = 100
"""Halvings in the search for the next temperature: increments down to 10⁻³⁰ are found."""

MIN_ISLANDS = 4
"""Below it the scatter of the islands is no estimate of an error."""

FIRST_GUESS = 30
"""Temperatures that a run is expected to need, before its second."""


class _State(NamedTuple):
    count: jax.Array
    inverse_temperature: jax.Array
    previous: jax.Array
    """Inverse temperature before the last step."""
    particles: Points
    """With axes (island, particle)."""
    log_evidence: jax.Array
    """Of each island."""
    founders: jax.Array
    """The first particle that each particle descends from."""
    step_size: jax.Array
    reference: Reference | None
    num_evaluations: jax.Array
    num_undefined: jax.Array
    """First particles without a defined likelihood; no move leads to another."""


@dataclass(frozen=True, kw_only=True)
class SMC(Engine):
    """Adaptive tempered sequential Monte Carlo on independent islands.

    The population is split into islands, each with weights, resampling and evidence of its own; the temperatures and
    the moves' step size are found from all of them, and the metric of one half from the other half. The scatter of the islands' evidences gives the error,
    and the islands are the chains of the result, so that R̂ says whether they agree. Within an island draws stand in
    the order of descent: copies are neighbours, and count as dependent in the effective sample size. With
    ``fit(..., start=result)`` the way is from a Student t fitted to that result (see
    :mod:`bayesastro.inference.reference`).

    Parameters
    ----------
    num_islands : int
        An even number, at least 4.
    num_particles : int
        Particles on each island; the draws of a chain.
    target_ess : float
        Effective fraction of the particles after each reweighting, which sets the steps of temperature.
    moves : {"hamiltonian", "random_walk"}
        Random walks need no gradient; they serve up to some ten parameters.
    num_moves : int, optional
        Moves at each temperature; by default 4 Hamiltonian ones, or 10 and 4 for each parameter by random walk.
    max_leapfrog : int
        Most leapfrog steps of a Hamiltonian move.
    max_temperatures : int
        Ends there in any case.

    References
    ----------
    Del Moral, Doucet & Jasra 2006, J. R. Stat. Soc. B 68, 411 (doi:10.1111/j.1467-9868.2006.00553.x);
    Buchholz, Chopin & Jacob 2021, Bayesian Anal. 16, 745 (arXiv:1808.07730; Hamiltonian moves tuned on the particles);
    Whiteley, Lee & Heine 2016, Bernoulli 22, 494 (arXiv:1309.2918; islands).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density", "proper_prior"})
    exactness: ClassVar[str] = "exact"
    references: ClassVar[tuple[str, ...]] = ("doi:10.1111/j.1467-9868.2006.00553.x", "arXiv:1808.07730")

    num_islands: int = 8
    num_particles: int = 250
    target_ess: float = 0.9
    moves: Literal["hamiltonian", "random_walk"] = "hamiltonian"
    num_moves: int | None = None
    max_leapfrog: int = 32
    max_temperatures: int = 1000

    def __post_init__(self) -> None:
        require_positive(self, "num_islands", "num_particles", "max_leapfrog", "max_temperatures")
        if self.num_moves is not None:
            require_positive(self, "num_moves")
        if self.num_islands < MIN_ISLANDS or self.num_islands % 2:
            raise ValueError(
                f"`SMC` needs an even number of islands, at least {MIN_ISLANDS}, but `num_islands` is {self.num_islands}."
            )
        if not 0 < self.target_ess < 1:
            raise ValueError(f"`SMC` needs `target_ess` between 0 and 1, but {told(self.target_ess)} came.")
        if self.moves not in ("hamiltonian", "random_walk"):
            raise ValueError(f'`SMC` needs `moves` "hamiltonian" or "random_walk", but {told(self.moves)} came.')

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        size, number = problem.unconstrained.size, self.num_islands * self.num_particles
        if self.moves == "hamiltonian" and "gradient" not in problem.provides:
            raise ValueError(
                f"Hamiltonian moves need a gradient of the log-density, but {problem.lacks['gradient']}. "
                'Use `SMC(moves="random_walk")`, or `NestedSampler`.'
            )
        if number <= 2 * size:
            raise ValueError(
                f"`SMC` needs more than two particles for each parameter, but {number} came for {size} of them. Raise "
                "`num_particles`."
            )

    def block_size(self, views: Views) -> int:
        return MAX_BLOCK

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        reference = None if start is None else fitted(start)
        shape = (self.num_islands, self.num_particles)
        points = draw_points(
            views.unconstrained, reference, jax.random.fold_in(key, 0), data, self.num_islands * self.num_particles
        )
        particles = jax.tree.map(lambda array: array.reshape(*shape, *array.shape[1:]), points)
        number = jnp.zeros((), particles.log_likelihood.dtype)
        return _State(
            count=jnp.zeros((), int),
            inverse_temperature=number,
            previous=number,
            particles=particles._replace(log_likelihood=_defined(particles.log_likelihood)),
            log_evidence=jnp.zeros(self.num_islands, number.dtype),
            founders=jnp.broadcast_to(jnp.arange(self.num_particles), shape),
            step_size=number + views.unconstrained.size ** (-0.25 if self.moves == "hamiltonian" else -0.5),
            reference=reference,
            num_evaluations=jnp.asarray(self.num_islands * self.num_particles),
            num_undefined=jnp.sum(jnp.isnan(particles.log_likelihood)),
        )

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        number, by_island = state.inverse_temperature, state.log_evidence
        empty = {
            "inverse_temperature": number,
            "acceptance_rate": number,
            "step_size": number,
            "num_parents": jnp.zeros(self.num_islands, int),
            "log_increment": by_island,
        }
        rows = jax.tree.map(lambda a: jnp.zeros((self.block_size(views), *a.shape), a.dtype), empty)

        def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            i, state, rows = carry
            state, row = self._step(views, jax.random.fold_in(key, 1 + state.count), state, data)
            return i + 1, state, jax.tree.map(lambda all_rows, one: all_rows.at[i].set(one), rows, row)

        def goes_on(carry: tuple[Any, ...]) -> jax.Array:
            i, state, _ = carry
            return (i < num_steps) & (state.inverse_temperature < 1) & (state.count < self.max_temperatures)

        i, state, rows = jax.lax.while_loop(goes_on, step, (jnp.zeros((), int), state, rows))
        return state, Block(i, rows)

    def started(self, state: _State) -> np.ndarray:
        return np.asarray(np.isfinite(state.particles.log_likelihood).any(axis=1))

    def progress(self, state: _State) -> Progress:
        done, now = int(state.count), float(state.inverse_temperature)
        figures = {"inverse_temperature": now}
        if now >= 1 or done >= self.max_temperatures:
            return Progress(done, done, "tempering", figures)
        growth = now / float(state.previous) if float(state.previous) > 0 else 0.0
        # Steps grow in proportion to the inverse temperature, roughly.
        left = -np.log(now) / np.log(growth) if growth > 1 else FIRST_GUESS
        return Progress(done, done + int(np.clip(np.ceil(left), 1, self.max_temperatures - done)), "tempering", figures)

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        is_done = float(state.inverse_temperature) >= 1
        # Before its end the population is of a tempered distribution, and no draw of the posterior.
        drawn = slice(None) if is_done else slice(0)
        particles = jax.tree.map(lambda array: np.asarray(array)[:, drawn], state.particles)
        log_evidence, error = _combined(np.asarray(state.log_evidence)) if is_done else (np.nan, np.nan)
        attributes = {
            "log_evidence": log_evidence,
            "log_evidence_err": error,
            "log_evidence_scatter": float(np.std(state.log_evidence, ddof=1)) if is_done else np.nan,
            "is_converged": int(is_done),
            "num_temperatures": int(state.count),
            "num_evaluations": int(state.num_evaluations),
            "undefined_likelihoods": int(state.num_undefined) / (self.num_islands * self.num_particles),
            "num_founders": int(min(len(np.unique(island)) for island in state.founders)),
        }
        if rows:
            attributes |= {
                "inverse_temperatures": rows["inverse_temperature"],
                "acceptance_rates": rows["acceptance_rate"],
                "parents": rows["num_parents"].min(axis=1) / self.num_particles,
            }
        return Draws(
            coordinates=particles.position,
            chart="unconstrained",
            sample_stats={"lp": particles.log_prior + particles.log_likelihood},
            attributes=attributes,
        )

    def _step(self, views: Views, key: jax.Array, state: _State, data: Data) -> tuple[_State, dict[str, jax.Array]]:
        """The next temperature: reweight, resample, move."""
        key_resample, key_move = jax.random.split(key)
        log_likelihood = state.particles.log_likelihood
        increment = _next_increment(log_likelihood, state.inverse_temperature, self.target_ess)
        is_last = increment >= 1 - state.inverse_temperature
        inverse_temperature = jnp.where(is_last, 1.0, state.inverse_temperature + increment)
        log_weight = _tempered(log_likelihood, increment)
        total = logsumexp(log_weight, axis=1)
        weights = jnp.exp(log_weight - total[:, None])
        keys = jax.random.split(key_resample, self.num_islands)
        parents = jax.vmap(lambda key, weights: systematic(key, weights, self.num_particles))(keys, weights)
        particles = jax.tree.map(lambda array: jax.vmap(lambda a, i: a[i])(array, parents), state.particles)
        moved = self._moved(views, key_move, particles.position, state, inverse_temperature, data)
        flat = jax.vmap(lambda z: terms_at(views.unconstrained, state.reference, z, data))(
            moved.positions.reshape(-1, views.unconstrained.size)
        )
        shape = (self.num_islands, self.num_particles)
        particles = jax.tree.map(lambda array: array.reshape(*shape, *array.shape[1:]), flat)
        log_increment = total - jnp.log(self.num_particles)
        state = state._replace(
            count=state.count + 1,
            inverse_temperature=inverse_temperature,
            previous=state.inverse_temperature,
            particles=particles._replace(log_likelihood=_defined(particles.log_likelihood)),
            log_evidence=state.log_evidence + log_increment,
            founders=jax.vmap(lambda a, i: a[i])(state.founders, parents),
            step_size=moved.step_size,
            num_evaluations=state.num_evaluations + moved.num_evaluations + shape[0] * shape[1],
        )
        return state, {
            "inverse_temperature": inverse_temperature,
            "acceptance_rate": moved.acceptance_rate,
            "step_size": moved.step_size,
            "num_parents": 1 + jnp.sum(jnp.diff(parents, axis=1) != 0, axis=1),
            "log_increment": log_increment,
        }

    def _moved(
        self,
        views: Views,
        key: jax.Array,
        positions: jax.Array,
        state: _State,
        inverse_temperature: jax.Array,
        data: Data,
    ) -> Moved:
        """All particles after their moves, at the new temperature."""

        def log_density(position: jax.Array) -> jax.Array:
            point = terms_at(views.unconstrained, state.reference, position, data)
            return point.log_prior + inverse_temperature * point.log_likelihood

        size = views.unconstrained.size
        halves = positions.reshape(2, -1, size)
        if self.moves == "hamiltonian":
            return hamiltonian_moves(key, halves, log_density, state.step_size, self.num_moves or 4, self.max_leapfrog)
        return random_walk_moves(key, halves, log_density, state.step_size, self.num_moves or 10 + 4 * size)


def _defined(log_likelihood: jax.Array) -> jax.Array:
    """What is not a number the data exclude."""
    return jnp.where(jnp.isnan(log_likelihood), -jnp.inf, log_likelihood)


def _tempered(log_likelihood: jax.Array, increment: jax.Array) -> jax.Array:
    """Log-weights; a likelihood of zero is zero at any temperature."""
    return jnp.where(jnp.isfinite(log_likelihood), increment * log_likelihood, -jnp.inf)


def _next_increment(log_likelihood: jax.Array, inverse_temperature: jax.Array, target: float) -> jax.Array:
    """The step of inverse temperature after which the effective fraction is `target`, by bisection.

    Particles of likelihood zero are lost at any step and not counted.
    """
    number = jnp.sum(jnp.isfinite(log_likelihood), axis=1)

    def is_too_far(increment: jax.Array) -> jax.Array:
        log_weight = _tempered(log_likelihood, increment)
        log_ess = 2 * logsumexp(log_weight, axis=1) - logsumexp(2 * log_weight, axis=1)
        return jnp.mean(jnp.exp(log_ess) / number) < target

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        too_far = is_too_far(middle)
        return jnp.where(too_far, low, middle), jnp.where(too_far, middle, high)

    rest = 1 - inverse_temperature
    _, high = jax.lax.fori_loop(0, BISECTIONS, halve, (jnp.zeros_like(rest), rest))
    return jnp.where(is_too_far(rest), high, rest)


def _combined(log_evidences: np.ndarray) -> tuple[float, float]:
    """Logarithm of the mean evidence of the islands, and its error.

    The error is the standard deviation of Student's t, for the scatter of a few islands is itself uncertain.
    """
    number = len(log_evidences)
    scatter = float(np.std(log_evidences, ddof=1)) / np.sqrt(number)
    return float(logsumexp(log_evidences) - np.log(number)), scatter * np.sqrt((number - 1) / (number - 3))
