"""What engines of several independent Markov chains share: each chain is one lane with a key of its own."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesastro.inference.engine import Block, Engine
from bayesastro.inference.lanes import over_lanes
from bayesastro.problem import Views
from bayesastro.program import Data

__all__ = ["ChainEngine", "ChainState"]


class ChainState(NamedTuple):
    """Steps made, and the chains along a leading axis."""

    count: jax.Array
    chains: Any


@dataclass(frozen=True, kw_only=True)
class ChainEngine(Engine):
    """An engine of `num_chains` chains; abstract."""

    num_chains: int = 4

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> ChainState:
        lanes = over_lanes(
            lambda key, data, start: self._start(views, key, data, start), self.num_chains, (0, None, None)
        )
        return ChainState(jnp.zeros((), int), lanes(self._chain_keys(key), data, start))

    def advance(
        self, views: Views, key: jax.Array, state: ChainState, data: Data, num_steps: jax.Array
    ) -> tuple[ChainState, Block]:
        lanes = over_lanes(
            lambda key, chain, count, num_steps, data: self._run_chain(views, key, chain, count, num_steps, data),
            self.num_chains,
            (0, 0, None, None, None),
        )
        chains, num_kept, rows = lanes(self._chain_keys(key), state.chains, state.count, num_steps, data)
        return ChainState(state.count + num_steps, chains), Block(
            num_kept[0], {k: v.swapaxes(0, 1) for k, v in rows.items()}
        )

    def _chain_keys(self, key: jax.Array) -> jax.Array:
        return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(self.num_chains))

    @abstractmethod
    def _start(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> Any:
        """One chain before its first step."""

    @abstractmethod
    def _run_chain(
        self, views: Views, key: jax.Array, chain: Any, count: jax.Array, num_steps: jax.Array, data: Data
    ) -> tuple[Any, jax.Array, dict[str, jax.Array]]:
        """`num_steps` steps of one chain from step `count` on; how many rows they gave, and the rows."""
