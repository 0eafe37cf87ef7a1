"""Geometric and metric Gaussian variational inference: posteriors of fields, with 10² to 10⁷ unknowns.

Use it where the unknowns are too many for sampling and the likelihood constrains them about one mode: images, spectra
and time series with Gaussian-process priors. The posterior is approximated in coordinates in which its metric (Fisher
information and prior) is nearly the identity; an iteration draws samples there about an expansion point, in mirrored
pairs, and moves the point to where the Kullback–Leibler divergence, averaged over them, is least. The samples are
NIFTy's (nifty8.re); everything is compiled as one program, which all data sets of equal shapes share.

The result is an approximation: several modes and strong skewness are missed, and errors tend to come out too small.
For up to some 10³ unknowns the approximation's density q is computed, and with it the evidence lower bound (`elbo`),
Pareto's k̂ of the importance weights p/q (`pareto_k`), and `approximation_error`, their logarithm's standard deviation
over the root of the number of unknowns: were q off by δ posterior sds in every unknown, that would be δ.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.hints import told
from bayesastro.inference import appraisal
from bayesastro.inference.appraisal import bound, minisanity, num_weighed, residual_sums
from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.newton import newton_cg
from bayesastro.inference.starts import best, points_at
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["GeoVI"]

BLOCK_BYTES = 2**27
"""Bound on the memory of one block's draws."""

MAX_BLOCK = 100

NUM_STARTS = 8
START_SD = 0.1
"""The expansion point starts at the best of a few draws near the prior's median, off the saddle points of products."""


class _Iterations(NamedTuple):
    """What each iteration did, by iteration."""

    energy: jax.Array
    """Mean over the samples of −log p(data, ξ), at the minimum."""
    shift: jax.Array
    """Root mean square over the unknowns of the expansion point's move, in posterior sds."""
    sampling_cg_iterations: jax.Array
    sampling_newton_iterations: jax.Array
    samples_converged: jax.Array
    newton_iterations: jax.Array
    cg_iterations: jax.Array
    converged: jax.Array


class _State(NamedTuple):
    count: jax.Array
    point: jax.Array
    log_density: jax.Array
    iterations: _Iterations


@dataclass(frozen=True, kw_only=True)
class GeoVI(Engine):
    """Geometric variational inference, or with ``geometric=False`` metric Gaussian variational inference.

    Parameters
    ----------
    num_iterations : int
        Global iterations: samples drawn, and the divergence minimised over them.
    num_samples : int
        Mirrored pairs of samples in each iteration: twice as many points, half as many independent ones.
    num_draws : int
        Draws in the result: mirrored pairs, drawn anew about the final expansion point. Must be even. A draw takes 8
        bytes for each unknown; estimates of standard deviations have the accuracy of `num_draws` / 2 draws.
    geometric : bool
        Whether samples follow the curvature of the posterior's metric (geoVI) or are Gaussian (MGVI): cheaper, and
        the same where the Fisher coordinates are linear in the unknowns.
    tolerance : float
        Error of conjugate-gradient and Newton solves, as a root mean square over the unknowns in posterior standard
        deviations. Where most unknowns follow their prior, as excitations of an image of few counts do, the few that the
        data know may be off by many of theirs: 0.002 is a value for those.
    max_cg_iterations : int
        Limit of conjugate gradients, for each linear system.
    max_sampling_newton, max_newton : int
        Limits of Newton steps: in curving a sample, and in minimising the divergence.

    References
    ----------
    Frank, Leike & Enßlin 2021, Entropy 23, 853 (arXiv:2105.10470);
    Knollmüller & Enßlin 2019, arXiv:1901.11033;
    Edenhofer et al. 2024, JOSS 9, 6593 (arXiv:2402.16683; NIFTy.re).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density", "gradient", "white", "fisher"})
    exactness: ClassVar[str] = "variational"
    references: ClassVar[tuple[str, ...]] = ("arXiv:2105.10470", "arXiv:1901.11033", "arXiv:2402.16683")
    chart: ClassVar = "white"
    package: ClassVar[str] = "nifty8"

    num_iterations: int = 10
    num_samples: int = 8
    num_draws: int = 200
    geometric: bool = True
    tolerance: float = 0.01
    max_cg_iterations: int = 500
    max_sampling_newton: int = 20
    max_newton: int = 30

    def __post_init__(self) -> None:
        require_positive(self, "num_iterations", "num_samples", "num_draws")
        require_positive(self, "max_cg_iterations", "max_sampling_newton", "max_newton")
        if self.num_draws % 2:
            raise ValueError(f"`GeoVI` draws in mirrored pairs: `num_draws` must be even, but {self.num_draws} came.")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"`GeoVI` needs `tolerance` between 0 and 1, but {told(self.tolerance)} came.")

    def block_size(self, views: Views) -> int:
        return int(np.clip(BLOCK_BYTES // (16 * self.num_samples * views.white.size), 1, MAX_BLOCK))

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        chart = views.white
        if start is None:
            points = START_SD * jax.random.normal(jax.random.fold_in(key, 0), (NUM_STARTS, chart.size))
        else:
            points = jnp.mean(start, axis=0, keepdims=True)
        first = best(points_at(chart, points, data))
        dtype, number = first.position.dtype, self.num_iterations
        real, whole, flag = jnp.zeros(number, dtype), jnp.zeros(number, int), jnp.zeros(number, bool)
        nothing = _Iterations(real, real, whole, whole, flag, whole, whole, flag)
        return _State(jnp.zeros((), int), first.position, first.log_density, nothing)

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        """Iterations, and then steps that draw, each `num_samples` pairs."""
        empty = jax.eval_shape(lambda: self._step(views, key, state, data)[1])
        length = self.block_size(views)
        rows = jax.tree.map(lambda a: jnp.zeros((length * a.shape[0], *a.shape[1:]), a.dtype), empty)

        def step(_: jax.Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
            state, count, rows = carry
            is_drawing = state.count >= self.num_iterations
            state, new = self._step(views, key, state, data)
            rows = jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, count, 0), rows, new)
            return state, count + jnp.where(is_drawing, 2 * self.num_samples, 0), rows

        state, count, rows = jax.lax.fori_loop(0, num_steps, step, (state, jnp.zeros((), int), rows))
        return state, Block(count, rows)

    def started(self, state: _State) -> np.ndarray:
        return np.atleast_1d(np.isfinite(state.log_density))

    def progress(self, state: _State) -> Progress:
        done = int(state.count)
        total = self.num_iterations + -(-self.num_draws // (2 * self.num_samples))
        if done == 0:
            return Progress(done, total, "optimising", {})
        last = min(done, self.num_iterations) - 1
        figures = {name: float(getattr(state.iterations, name)[last]) for name in ("energy", "shift")}
        return Progress(done, total, "optimising" if done < self.num_iterations else "drawing", figures)

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        rows = {name: array[: self.num_draws] for name, array in rows.items()}
        if not rows:
            rows = {"xi": np.zeros((0, views.white.size))}
        stats = {
            name: rows[name][None]
            for name in ("lp", "log_weight", "cg_iterations", "newton_iterations", "converged")
            if name in rows
        }
        done = min(int(state.count), self.num_iterations)
        iterations = {name: array[:done] for name, array in state.iterations._asdict().items()}
        attributes: dict[str, Any] = {"num_pairs": len(rows["xi"]) // 2}
        if len(rows["xi"]):
            attributes |= {"minisanity": json.dumps(minisanity(views, rows))} | bound(views, rows)
        return Draws(
            coordinates=rows["xi"][None],
            chart="white",
            sample_stats=stats,
            tables={"iterations": ("iteration", iterations)},
            attributes=attributes,
        )

    def _step(self, views: Views, key: jax.Array, state: _State, data: Data) -> tuple[_State, dict[str, Any]]:
        """Samples about the expansion point, and where it lies lower; in a drawing step the point stays."""
        from bayesastro.inference import fisher_likelihood as nifty

        likelihood = nifty.SiteLikelihood(views, data, state.point, anchor=state.point)
        tolerance = self.tolerance * np.sqrt(views.white.size)
        keys = jax.random.split(jax.random.fold_in(key, 1 + state.count), self.num_samples)

        def pair(key: jax.Array) -> tuple[jax.Array, Any]:
            return nifty.draw_pair(
                likelihood,
                state.point,
                key,
                geometric=self.geometric,
                tolerance=tolerance,
                max_cg_iterations=self.max_cg_iterations,
                max_newton_iterations=self.max_sampling_newton,
            )

        residuals, effort = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(pair, keys))
        is_drawing = state.count >= self.num_iterations
        point, iterations = self._moved(views, state, data, residuals, effort, is_drawing)
        xi = state.point + residuals
        rows = {"xi": xi, **effort._asdict(), **self._judged(views, likelihood, state, data, xi, is_drawing)}
        return _State(state.count + 1, point, state.log_density, iterations), rows

    def _moved(
        self,
        views: Views,
        state: _State,
        data: Data,
        residuals: jax.Array,
        effort: Any,
        is_drawing: jax.Array,
    ) -> tuple[jax.Array, _Iterations]:
        """The expansion point where the mean energy over the samples about it is least, and the account of it."""
        from bayesastro.inference import fisher_likelihood as nifty

        def minimised(_: None) -> tuple[jax.Array, _Iterations]:
            likelihood = nifty.SiteLikelihood(views, data, state.point)

            def metric(point: jax.Array, tangent: jax.Array) -> jax.Array:
                one = jax.vmap(lambda r: likelihood.metric(point + r, tangent))
                return tangent + jnp.mean(one(residuals), axis=0)

            def energy(point: jax.Array) -> jax.Array:
                one = jax.vmap(lambda r: views.white.log_density(point + r, data))
                return -jnp.mean(one(residuals))

            minimum = newton_cg(
                x0=state.point,
                fun_and_grad=jax.value_and_grad(energy),
                hessp=metric,
                tolerance=self.tolerance * np.sqrt(views.white.size),
                max_iterations=self.max_newton,
                max_cg_iterations=self.max_cg_iterations,
            )
            move = minimum.x - state.point
            new = _Iterations(
                energy=minimum.energy,
                shift=jnp.sqrt(jnp.vdot(move, metric(state.point, move)) / move.size),
                sampling_cg_iterations=jnp.max(effort.cg_iterations),
                sampling_newton_iterations=jnp.max(effort.newton_iterations),
                samples_converged=jnp.all(effort.converged),
                newton_iterations=minimum.iterations,
                cg_iterations=minimum.cg_iterations,
                converged=minimum.converged,
            )
            return minimum.x, jax.tree.map(lambda a, b: a.at[state.count].set(b), state.iterations, new)

        return jax.lax.cond(is_drawing, lambda _: (state.point, state.iterations), minimised, None)

    def _judged(
        self,
        views: Views,
        likelihood: Any,
        state: _State,
        data: Data,
        xi: jax.Array,
        is_drawing: jax.Array,
    ) -> dict[str, jax.Array]:
        """Log-density and residuals at the draws, and for few unknowns the logarithm of posterior over approximation."""
        from bayesastro.inference import fisher_likelihood as nifty

        def judged(_: None) -> dict[str, jax.Array]:
            def one(z: jax.Array) -> dict[str, jax.Array]:
                return {"lp": views.white.log_density(z, data), "residuals": residual_sums(views, z, data)}

            return jax.lax.map(one, xi)

        found = _if(is_drawing, judged)
        if views.white.size > appraisal.MAX_DENSE:
            return found

        def weighed(_: None) -> jax.Array:
            return found["lp"] - nifty.log_density(likelihood, state.point, xi, geometric=self.geometric)

        num_drawn = 2 * self.num_samples * (state.count - self.num_iterations)
        return found | {"log_weight": _if(is_drawing & (num_drawn < num_weighed(views)), weighed)}


def _if(condition: jax.Array, function: Callable[[None], Any]) -> Any:
    """What the function gives, or NaN in its place."""
    shapes = jax.eval_shape(function, None)
    return jax.lax.cond(
        condition, function, lambda _: jax.tree.map(lambda a: jnp.full(a.shape, jnp.nan, a.dtype), shapes), None
    )
