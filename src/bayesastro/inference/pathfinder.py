"""Pathfinder: Gaussian approximations found along quasi-Newton optimisation paths; the quick first look and start.

Use it to see within seconds whether a program does what it should, and to start other engines where the prior is far
from the posterior: ``fit(problem, NUTS(), start=fit(problem, Pathfinder()))``. From every path the Gaussian of highest
evidence lower bound is kept; draws of all of them are weighted by density over Gaussian, the weights are
Pareto-smoothed, and equal-weight draws are resampled. The tail shape k̂ of the weights, and of the terms that make the
variances, says how far to trust them: up to 0.7 moments come out right, beyond that the draws are not the posterior's.

L-BFGS and its factored inverse Hessians are blackjax's. Its own Pathfinder, in version 1.7, moves from an iterate with
the gradient of −log p where that of log p belongs, so that its Gaussians lie off the mean that the Hessian tells.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.optimizers.lbfgs import bfgs_sample, lbfgs_inverse_hessian_factors, minimize_lbfgs

from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.importance import khat_of, resampled, weights_of
from bayesastro.inference.metric import first_metric
from bayesastro.inference.starts import starting_points
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["Pathfinder"]

BATCH = 64
"""Densities evaluated at once; bounds the memory of programs that predict images."""

MAX_MOMENTS = 100
"""Number of coordinates whose variance has a k̂."""

BLOCK_BYTES = 2**27


class _State(NamedTuple):
    count: jax.Array
    position: jax.Array
    """Where each path starts, shape (num_paths, size)."""
    log_density: jax.Array
    scale: jax.Array
    """Rough sds by which the coordinates of each path are divided."""
    seed: jax.Array
    """Of the resampling."""


class _Gaussian(NamedTuple):
    """A Gaussian along a path: iterate, gradient of log p there, and inverse Hessian diag(α) + β γ βᵀ."""

    position: jax.Array
    gradient: jax.Array
    alpha: jax.Array
    beta: jax.Array
    gamma: jax.Array

    def draw(self, key: jax.Array, num_draws: int) -> tuple[jax.Array, jax.Array]:
        """Draws and their log-densities under the Gaussian (algorithm 4 of the paper)."""
        return bfgs_sample(key, num_draws, *self)


@dataclass(frozen=True, kw_only=True)
class Pathfinder(Engine):
    """Multi-path Pathfinder with Pareto-smoothed importance resampling.

    Parameters
    ----------
    num_paths : int
        Optimisation paths, each from a start of its own.
    num_draws : int
        Draws from the Gaussian of each path, and draws resampled from all of them.
    num_elbo_draws : int
        Draws by which the Gaussians along a path are compared.
    max_iterations : int
        Bound on the iterations of a path.
    history : int
        Iterations that an inverse Hessian is made from.
    num_starts : int
        Draws from the prior for each path, the best of which it starts from. With ``fit(..., start=result)``, draws of
        that result, the first of which it starts from.
    psis_resample : bool
        Whether draws are resampled by their Pareto-smoothed weights. Without, they are those of the Gaussian with the
        greatest lower bound, as they are: where k̂ is infinite a better start for other engines, whose first mass
        matrix comes from the spread of the draws, of which the weights leave one or two.

    References
    ----------
    Zhang, Carpenter, Gelman & Vehtari 2022, JMLR 23, 306 (arXiv:2108.03782), algorithms 1 to 4;
    Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25, 72 (arXiv:1507.02646) (Pareto smoothing, k̂).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density", "gradient"})
    exactness: ClassVar[str] = "variational"
    references: ClassVar[tuple[str, ...]] = ("arXiv:2108.03782", "arXiv:1507.02646")

    num_paths: int = 8
    num_draws: int = 1000
    num_elbo_draws: int = 25
    max_iterations: int = 100
    history: int = 6
    num_starts: int = 20
    psis_resample: bool = True

    def __post_init__(self) -> None:
        names = ("num_paths", "num_draws", "num_elbo_draws", "max_iterations", "history", "num_starts")
        require_positive(self, *names)

    def block_size(self, views: Views) -> int:
        path = 8 * self.num_draws * (views.unconstrained.size + 2)
        return int(np.clip(BLOCK_BYTES // path, 1, self.num_paths))

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        chart = views.unconstrained

        def path(i: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            key_start = jax.random.fold_in(jax.random.fold_in(key, 0), i)
            points, first = starting_points(chart, key_start, data, self.num_starts, start)
            return first.position, first.log_density, jnp.sqrt(first_metric(points.position, points.gradient))

        position, log_density, scale = jax.lax.map(path, jnp.arange(self.num_paths))
        seed = jax.random.bits(jax.random.fold_in(key, 1), (8,), "uint32")
        return _State(jnp.zeros((), int), position, log_density, scale, seed)

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        def row(path: jax.Array) -> dict[str, jax.Array]:
            start, scale = state.position[path], state.scale[path]
            return self._path(views, jax.random.fold_in(key, 2 + path), data, start, scale)

        empty = jax.eval_shape(row, state.count)
        rows = jax.tree.map(lambda a: jnp.zeros((self.block_size(views), *a.shape), a.dtype), empty)

        def step(i: jax.Array, rows: dict[str, jax.Array]) -> dict[str, jax.Array]:
            return jax.tree.map(lambda all_rows, one: all_rows.at[i].set(one), rows, row(state.count + i))

        rows = jax.lax.fori_loop(0, num_steps, step, rows)
        return state._replace(count=state.count + num_steps), Block(num_steps, rows)

    def started(self, state: _State) -> np.ndarray:
        return np.isfinite(state.log_density)

    def progress(self, state: _State) -> Progress:
        return Progress(int(state.count), self.num_paths, "optimising", {})

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        size = views.unconstrained.size
        if not rows or not len(rows["elbo"]):
            return Draws(coordinates=np.zeros((1, 0, size)), chart="unconstrained")
        position, lp = rows["position"].reshape(-1, size), rows["lp"].reshape(-1)
        log_weight = rows["log_weight"].reshape(-1)
        has_failed = ~np.isfinite(rows["elbo"])
        attributes: dict[str, Any] = {
            "elbo": float(np.max(rows["elbo"])),
            "num_paths_failed": int(has_failed.sum()),
            "num_paths_cut": int(rows["is_cut"].sum()),
        }
        if not np.isfinite(log_weight).any():
            attributes |= {"khat": np.inf, "ess": 0.0}
            return Draws(coordinates=np.zeros((1, 0, size)), chart="unconstrained", attributes=attributes)
        weights = weights_of(log_weight)
        moments = _moments_khat(log_weight, weights.weight, position)
        attributes |= {"khat": max(weights.khat, moments), "khat_weights": weights.khat, "ess": weights.ess}
        if self.psis_resample:
            chosen = resampled(weights.weight, self.num_draws, np.random.RandomState(np.asarray(state.seed)))
        else:
            of_best = int(np.argmax(rows["elbo"])) * self.num_draws + np.arange(self.num_draws)
            chosen = np.resize(of_best[np.isfinite(log_weight[of_best])], self.num_draws)
        return Draws(
            coordinates=position[None, chosen],
            chart="unconstrained",
            sample_stats={"lp": lp[None, chosen]},
            attributes=attributes,
        )

    def _path(
        self, views: Views, key: jax.Array, data: Data, start: jax.Array, scale: jax.Array
    ) -> dict[str, jax.Array]:
        """Draws of the best Gaussian along one path, with their densities and importance weights."""

        def log_density(w: jax.Array) -> jax.Array:
            return views.unconstrained.log_density(scale * w, data)

        def densities(draws: jax.Array) -> jax.Array:
            values = jax.lax.map(log_density, draws, batch_size=BATCH)
            return jnp.where(jnp.isfinite(values), values, -jnp.inf)

        end, path = minimize_lbfgs(
            lambda w: -log_density(w), start / scale, maxiter=self.max_iterations, maxcor=self.history
        )
        iterations = end.state.iter_num
        gaussians = _gaussians(path, self.history)

        def elbo(args: tuple[jax.Array, _Gaussian]) -> jax.Array:
            draws, log_q = args[1].draw(jax.random.fold_in(key, args[0]), self.num_elbo_draws)
            return jnp.mean(densities(draws) - log_q)

        def elbo_of(args: tuple[jax.Array, _Gaussian]) -> jax.Array:
            return jax.lax.cond(args[0] <= iterations, elbo, lambda _: jnp.full((), -jnp.inf), args)

        indices = jnp.arange(self.max_iterations + 1)
        elbos = jax.lax.map(elbo_of, (indices, gaussians))
        elbos = jnp.where(jnp.isfinite(elbos), elbos, -jnp.inf)
        chosen = jax.tree.map(lambda array: array[jnp.argmax(elbos)], gaussians)
        draws, log_q = chosen.draw(jax.random.fold_in(key, len(indices)), self.num_draws)
        lp, log_jacobian = densities(draws), jnp.sum(jnp.log(scale))
        weight = lp - log_q
        is_fine = jnp.isfinite(weight) & jnp.isfinite(jnp.max(elbos))
        return {
            "position": draws * scale,
            "lp": lp,
            "log_weight": jnp.where(is_fine, weight + log_jacobian, -jnp.inf),
            "elbo": jnp.max(elbos) + log_jacobian,
            "is_cut": iterations >= self.max_iterations,
        }


def _gaussians(path: Any, history: int) -> _Gaussian:
    """The Gaussian at every iterate of a path of −log p, from the updates before it (algorithm 1 of the paper)."""

    def padded(values: jax.Array) -> jax.Array:
        kept = jnp.where(path.update_mask[1:], jnp.diff(values, axis=0), 0.0)
        return jnp.pad(kept, ((history, 0), (0, 0)))

    steps, gradient_steps = padded(path.x), padded(path.g)

    def at(i: jax.Array) -> _Gaussian:
        window = i + jnp.arange(history)
        factors = lbfgs_inverse_hessian_factors(steps[window].T, gradient_steps[window].T, path.alpha[i])
        return _Gaussian(path.x[i], -path.g[i], path.alpha[i], *factors)

    return jax.lax.map(at, jnp.arange(len(path.x)))


def _moments_khat(log_weight: np.ndarray, weight: np.ndarray, position: np.ndarray) -> float:
    """The greatest k̂ of the terms that add up to a coordinate's variance.

    Where the Gaussians are too narrow these have heavier tails than the weights alone, which do not see how far out
    the draws of great weight are.
    """
    coordinates = np.linspace(0, position.shape[1] - 1, min(position.shape[1], MAX_MOMENTS)).astype(int)
    is_fine = np.isfinite(log_weight)  # a path that ran off has draws at infinity, of no weight
    log_weight, weight, values = log_weight[is_fine], weight[is_fine], position[is_fine][:, coordinates]
    deviations = np.abs(values - weight @ values).T
    terms = [log_weight[d > 0] + 2 * np.log(d[d > 0]) for d in deviations if (d > 0).any()]
    return max((khat_of(term) for term in terms), default=0.0)
