"""`Corrected`: a neural posterior's draws, weighted by the exact likelihood.

Use it where the program has a density and an `Amortised` posterior is nearly right: what the network got wrong is
corrected at the price of one likelihood a draw, and the mean weight is the evidence. Weights can thin out draws where
the network is too wide, but not add any where it has none; the shape k̂ of their tail tells. Where data are so precise that
the network's draws nearly all miss, rounds of moved proposals begin from them.
"""

import functools
import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from arviz_stats.base import array_stats

from bayesastro.hints import told
from bayesastro.inference.alone import run_alone
from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.importance import MAX_KHAT, evidence_of, resampled, weights_of
from bayesastro.inference.neural.amortised import Amortised
from bayesastro.inference.neural.moving import Proposals, moved
from bayesastro.problem import Problem, Views
from bayesastro.program import Data, data_set

__all__ = ["Corrected"]

BATCH = 256
"""Proposals whose likelihoods are computed together."""

MIN_FINITE = 20
"""Weights without which nothing can be said of their tail."""


class _State(NamedTuple):
    """Where the one step stands, and what came of it beside its rows."""

    count: np.ndarray
    inner: Any
    coordinates: np.ndarray
    lp: np.ndarray
    figures: np.ndarray


class _Figures(NamedTuple):
    """What became of one data set."""

    khat: float
    ess: float
    log_evidence: float
    log_evidence_err: float
    num_undefined: float
    fell_back: float


@dataclass(frozen=True, kw_only=True)
class Corrected(Engine):
    """Importance sampling with a trained posterior as its proposal.

    Parameters
    ----------
    amortised : Amortised
    num_proposals : int
        Draws of the network, for each data set, that are weighed; or of the last round.
    num_rounds : int
        Rounds, at most, in which a Student t moves from the network's draws to the posterior, and its draws are weighed in
        their place: for narrow posteriors of many parameters with one mode. 0 for none; narrow ones of thirty
        parameters take some twenty.
    num_chains, num_draws : int
        Of equal weight, drawn from those; chains are a way to arrange them.
    fallback : Engine, optional
        Fits a data set whose k̂ is above 0.7, started from the weighted draws; such as ``NUTS()``.

    References
    ----------
    Paige & Wood 2016, arXiv:1602.06701; Dax et al. 2023, Phys. Rev. Lett. 130, 171403 (arXiv:2210.05686); smoothed
    weights and k̂: Vehtari et al. 2024, arXiv:1507.02646; rounds: Cappé et al. 2008, arXiv:0710.4242.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([3]).to_event(1))
    >>> problem = ba.Problem(program, observed={"y": np.array([0.2, 0.5, 0.1])})
    >>> bank = ba.simulate(problem, 500, seed=1, progress=False)
    >>> amortised = ba.NPE(flow="affine", max_epochs=5).train(problem, bank, seed=1, progress=False)
    >>> result = ba.fit(problem, ba.Corrected(amortised), seed=1, progress=False)
    >>> bool(abs(result.attrs["log_evidence"] - -2.166) < 0.1)
    True
    """

    needs: ClassVar[frozenset[str]] = frozenset({"density", "simulate"})
    exactness: ClassVar[str] = "amortised+is"
    references: ClassVar[tuple[str, ...]] = (
        "arXiv:1602.06701",
        "arXiv:2210.05686",
        "arXiv:1507.02646",
        "arXiv:0710.4242",
    )
    is_traced: ClassVar[bool] = False
    is_batched: ClassVar[bool] = True

    amortised: Amortised = field(kw_only=False)
    num_proposals: int = 4000
    num_rounds: int = 0
    num_chains: int = 4
    num_draws: int = 500
    fallback: Engine | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.amortised, Amortised):
            raise TypeError(f"`Corrected` needs an `Amortised` posterior, but {told(self.amortised)} came.")
        if self.fallback is not None and not isinstance(self.fallback, Engine):
            raise TypeError(
                f"`Corrected` needs an engine such as `NUTS()` as `fallback`, but {told(self.fallback)} came."
            )
        require_positive(self, "num_proposals", "num_chains", "num_draws")
        if not isinstance(self.num_rounds, int) or self.num_rounds < 0:
            raise ValueError(f"`Corrected` needs `num_rounds` of at least 0, but {told(self.num_rounds)} came.")

    @functools.cached_property
    def proposal(self) -> Amortised:
        """The network's posterior, drawing proposals."""
        return replace(self.amortised, num_chains=1, num_draws=self.num_proposals)

    def settings(self) -> dict[str, Any]:
        fallback = self.fallback
        return super().settings() | {
            "amortised": self.amortised.settings(),
            "fallback": None if fallback is None else {"engine": type(fallback).__name__} | fallback.settings(),
        }

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        self.amortised.validate(problem)
        if self.fallback is not None:
            self.fallback.validate(problem)

    def block_size(self, views: Views) -> int:
        return 1

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        inner = self.proposal.init(views, key, data, start)
        lp = np.full((self.num_chains, self.num_draws), np.nan)
        coordinates = np.full((*lp.shape, views.unconstrained.size), np.nan)
        return _State(np.asarray(0), inner, coordinates, lp, np.full(len(_Figures._fields), np.nan))

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        """The one step there is draws, weighs and, where asked, falls back."""
        inner, block = self.proposal.advance(views, key, state.inner, data, num_steps)
        z, log_prob, lp = self._proposed(views, key, data, block.rows["coordinates"][0], block.rows["log_prob"][0])
        coordinates, chosen, figures = self._weighed(views, key, data, z, lp, lp - log_prob)
        after = _State(np.asarray(1), inner, coordinates, chosen, np.array(figures))
        return after, Block(np.asarray(len(z)), {"coordinates": z, "log_prob": log_prob, "lp": lp})

    def started(self, state: _State) -> np.ndarray:
        return np.ones(1, bool)

    def progress(self, state: _State) -> Progress:
        return Progress(int(state.count), 1, "drawing and weighing", {})

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        proposed = self.proposal.finish(views, state.inner, {n: rows[n][None] for n in ("coordinates", "log_prob")})
        weighted = {"lp": rows["lp"], "log_weight": rows["lp"] - rows["log_prob"]}
        draws = self._draws(proposed, state.coordinates, state.lp, _Figures(*map(float, state.figures)))
        return replace(draws, points={"weights": (rows["coordinates"], weighted)})

    def fit_batch(self, views: Views, keys: jax.Array, data: Data, axes: Data) -> list[Draws | None]:
        found: list[Draws | None] = []
        for i, proposed in enumerate(self.proposal.fit_batch(views, keys, data, axes)):
            if proposed is None:
                found.append(None)
                continue
            one = data_set(data, axes, i)
            first = proposed.coordinates[0], proposed.sample_stats["lp"][0]
            z, log_prob, lp = self._proposed(views, keys[i], one, *first)
            found.append(self._draws(proposed, *self._weighed(views, keys[i], one, z, lp, lp - log_prob)))
        return found

    def _proposed(self, views: Views, key: jax.Array, data: Data, z: np.ndarray, log_prob: np.ndarray) -> Proposals:
        """The network's draws, or those of the last round that began from them, with the posterior's density."""
        density = _log_density(views)
        first = Proposals(z, log_prob, np.asarray(density(z, data)))
        if self.num_rounds == 0:
            return first
        random = _generator(jax.random.fold_in(key, 2))
        return moved(first, lambda z: np.asarray(density(z, data)), self.num_rounds, random)

    def _weighed(
        self, views: Views, key: jax.Array, data: Data, z: np.ndarray, lp: np.ndarray, log_weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, _Figures]:
        """Draws of equal weight, their log-densities, and figures of the weights."""
        shape, is_fine = (self.num_chains, self.num_draws), np.isfinite(log_weight)
        num_undefined = float((~is_fine).sum())
        if is_fine.sum() < MIN_FINITE:
            weight, khat, ess, evidence = np.full(len(z), 1 / len(z)), np.inf, 0.0, (np.nan, np.nan)
        else:
            weights = weights_of(log_weight)
            weight, khat, ess, evidence = weights.weight, weights.khat, weights.ess, evidence_of(log_weight)
        key_draws, key_fallback = jax.random.split(jax.random.fold_in(key, 1))
        chosen = resampled(weight, math.prod(shape), _generator(key_draws))
        if khat > MAX_KHAT and self.fallback is not None:
            draws = run_alone(self.fallback, views, key_fallback, data, z[chosen])
            if draws is not None:
                flat = draws.coordinates.reshape(-1, z.shape[1])
                even = np.linspace(0, len(flat) - 1, math.prod(shape)).astype(int)
                coordinates = flat[even].reshape(*shape, -1)
                lp = draws.sample_stats["lp"].reshape(-1)[even].reshape(shape)
                return coordinates, lp, _Figures(khat, _bulk_ess(draws), np.nan, np.nan, num_undefined, 1.0)
        figures = _Figures(khat, ess, *evidence, num_undefined, 0.0)
        return z[chosen].reshape(*shape, -1), lp[chosen].reshape(shape), figures

    def _draws(self, proposed: Draws, coordinates: np.ndarray, lp: np.ndarray, figures: _Figures) -> Draws:
        return Draws(
            coordinates=coordinates,
            chart="unconstrained",
            sample_stats={"lp": lp},
            attributes=proposed.attributes | {"num_proposals": self.num_proposals} | figures._asdict(),
        )


def _generator(key: jax.Array) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.bits(key, (4,), "uint32")))


def _bulk_ess(draws: Draws) -> float:
    """The least over the coordinates."""
    return float(np.min(array_stats.ess(draws.coordinates, chain_axis=0, draw_axis=1, method="bulk")))


@functools.lru_cache(maxsize=32)
def _log_density(views: Views) -> Any:
    """Log-densities at points of shape (point, coordinate)."""

    def all_points(z: jax.Array, data: Data) -> jax.Array:
        return jax.lax.map(lambda z: views.unconstrained.log_density(z, data), z, batch_size=BATCH)

    return jax.jit(all_points)
