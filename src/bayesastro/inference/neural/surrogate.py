"""`Surrogate`: a learnt likelihood or ratio together with the engine that draws from its posterior.

The program's prior is exact; only the likelihood is learnt. Unlike an `Amortised` posterior it takes a run of an engine
for every data set, with gradients of the network; data sets fitted together share one compiled program.
"""

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.hints import told
from bayesastro.inference import engines
from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows
from bayesastro.inference.neural.learned import Learned
from bayesastro.inference.neural.learned_views import LearnedViews, with_contexts
from bayesastro.inference.neural.likelihood import NeuralLikelihood
from bayesastro.inference.neural.trained import Trained
from bayesastro.inference.smc import SMC
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

__all__ = ["Surrogate"]


class _State(NamedTuple):
    """What was made of the data, and the inner engine's state."""

    contexts: Any
    offset: Any
    outside: Any
    inner: Any


@dataclass(frozen=True, kw_only=True)
class Surrogate(Learned):
    """A learnt likelihood (of `NLE`) or ratio (of `NRE`) as an engine.

    Parameters
    ----------
    likelihood : NeuralLikelihood
        The networks and what belongs to them.
    engine : Engine
        What draws from the posterior; any that walks in unconstrained coordinates. `SMC` finds several modes; `NUTS`
        serves where there is one. Change it with `dataclasses.replace`.

    References
    ----------
    Papamakarios, Sterratt & Murray 2019, arXiv:1805.07226; Hermans, Begy & Louppe 2020, arXiv:1903.04057.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"simulate", "proper_prior"})
    references: ClassVar[tuple[str, ...]] = ("arXiv:1805.07226", "arXiv:1903.04057")
    kinds: ClassVar[tuple[str, ...]] = ("likelihood", "ratio")

    likelihood: NeuralLikelihood
    engine: Engine = field(default_factory=SMC)

    def __post_init__(self) -> None:
        if not isinstance(self.engine, Engine) or not self.engine.is_traced or self.engine.chart == "white":
            raise ValueError(
                "`Surrogate` needs an engine that JAX traces and that walks in unconstrained coordinates, such as "
                f"`SMC()`, `NUTS()` or `NestedSampler()`, but {told(self.engine)} came."
            )

    def __repr__(self) -> str:
        p = self.likelihood
        observed = ", ".join(f"{name}{list(shape) or ''}" for name, shape in p.shapes.items())
        return (
            f"Surrogate({p.networks[0].plan.kind} × {len(p.networks)} of `{p.identity['program']}`: {observed} given "
            f"{len(p.labels)} coordinates; {p.num_simulations} simulations; {self.engine!r})"
        )

    @property
    def trained(self) -> NeuralLikelihood:
        return self.likelihood

    def _kept_settings(self) -> dict[str, Any]:
        return {"engine": type(self.engine).__name__, "engine_settings": self.engine.settings()}

    @classmethod
    def _restored(cls, trained: Trained, settings: Mapping[str, Any]) -> "Surrogate":
        kinds = {kind.__name__: kind for kind in engines()}
        engine = kinds[settings["engine"]](**settings["engine_settings"])
        return cls(likelihood=cast(NeuralLikelihood, trained), engine=engine)

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        learnt = copy.copy(problem)  # which has a density and a gradient, whatever the program lacks
        learnt.lacks = {what: lack for what, lack in problem.lacks.items() if what not in ("density", "gradient")}
        self.engine.validate(learnt)

    def side_by_side(self) -> "Surrogate":
        return self._side_by_side

    @functools.cached_property
    def _side_by_side(self) -> "Surrogate":
        engine = self.engine.side_by_side()
        return self if engine == self.engine else replace(self, engine=engine)

    @functools.cached_property
    def _function(self) -> Any:
        return self.likelihood.function()

    def _views(self, views: Views) -> Views:
        within = tuple((n, *map(_tuples, bounds)) for n, bounds in self.likelihood.identity["within"].items())
        return LearnedViews(
            views.structure, views.prior_factors, views.fisher_rules, log_likelihood=self._function, within=within
        )

    def block_size(self, views: Views) -> int:
        return self.engine.block_size(self._views(views))

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        p, observed = self.likelihood, self._observed(views, data)
        example = {name: np.zeros((1, *shape)) for name, shape in p.shapes.items()}
        shapes = [jax.ShapeDtypeStruct(a.shape[1:], jnp.float32) for a in self._prepared(example)]
        made = jax.pure_callback(self._prepared_one, shapes, observed, vmap_method="expand_dims")
        contexts, offset, outside = made
        inner = self.engine.init(self._views(views), key, with_contexts(data, contexts, offset), start)
        return _State(contexts, offset, outside, inner)

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        given = with_contexts(data, state.contexts, state.offset)
        inner, block = self.engine.advance(self._views(views), key, state.inner, given, num_steps)
        return state._replace(inner=inner), block

    def started(self, state: _State) -> np.ndarray:
        return self.engine.started(state.inner)

    def progress(self, state: _State) -> Progress:
        return self.engine.progress(state.inner)

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        draws = self.engine.finish(self._views(views), state.inner, rows)
        attributes = draws.attributes | self.likelihood.figures() | {"outside_bank": float(state.outside)}
        if not self.likelihood.is_normalised:  # a ratio's integral over the prior is one, whatever the data
            attributes = {name: v for name, v in attributes.items() if not name.startswith("log_evidence")}
        return replace(draws, attributes=attributes)

    def _prepared(self, observed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Contexts, offset and distance from the bank of data sets."""
        p = self.likelihood
        made = p.contexts(observed), p.offset(observed), p.outside(observed)
        return [np.asarray(array, np.float32) for array in made]

    def _prepared_one(self, observed: Mapping[str, Any]) -> list[np.ndarray]:
        """The same for one data set, or for several along leading axes."""
        values = {name: np.asarray(value, float) for name, value in observed.items()}
        name, shape = next(iter(self.likelihood.shapes.items()))
        lead = values[name].shape[: values[name].ndim - len(shape)]
        shapes = self.likelihood.shapes
        flat = {n: np.broadcast_to(v, (*lead, *shapes[n])).reshape(-1, *shapes[n]) for n, v in values.items()}
        return [array.reshape((*lead, *array.shape[1:])) for array in self._prepared(flat)]


def _tuples(bounds: Any) -> Any:
    """Lists as tuples, which can be compared and hashed."""
    return tuple(map(_tuples, bounds)) if isinstance(bounds, list) else bounds
