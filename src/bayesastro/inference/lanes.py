"""Running one function over many lanes (chains, data sets): vectorised on a device, sharded over several."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

__all__ = ["on_one_device", "over_lanes", "vectorised"]

_DEVICES_ARE_TAKEN: ContextVar[bool] = ContextVar("devices are taken", default=False)


@contextmanager
def on_one_device() -> Iterator[None]:
    """Within the context lanes are vectorised only: lanes around them are spread over the devices already."""
    token = _DEVICES_ARE_TAKEN.set(True)
    try:
        yield
    finally:
        _DEVICES_ARE_TAKEN.reset(token)


def vectorised(function: Callable[..., Any], num_lanes: int, in_axes: tuple[Any, ...]) -> Callable[..., Any]:
    """``jax.vmap`` of a function over so many lanes; of one lane the function itself, to which axes are taken and given.

    Vectorised loops compute both branches of every condition, and some operations, such as convolutions with a kernel of
    each lane's own, are many times slower; for one lane there is no need.
    """
    if num_lanes > 1:
        return jax.vmap(function, in_axes=in_axes)

    def alone(*args: Any) -> Any:
        def lane(axis: int | None, arg: Any) -> Any:
            return arg if axis is None else jax.tree.map(lambda a: a[0], arg)

        taken = jax.tree.map(lane, in_axes, args, is_leaf=lambda axis: axis is None)
        return jax.tree.map(lambda a: jnp.asarray(a)[None], function(*taken))

    return alone


def over_lanes(function: Callable[..., Any], num_lanes: int, in_axes: tuple[Any, ...]) -> Callable[..., Any]:
    """`function` vectorised over the leading axis of its lane arguments, spread over the local devices.

    Each device runs its own share as one vectorised loop, so that a loop ends when the lanes of that device are
    through and no device waits for another within it. The number of devices used is the largest that divides
    `num_lanes`.

    Parameters
    ----------
    function : callable
        Works on one lane.
    num_lanes : int
    in_axes : tuple
        As for ``jax.vmap``: 0 for an argument, or a leaf of one, with a leading lane axis, None for what all lanes
        share. Every output has a lane axis.
    """
    devices = jax.local_devices()
    used = 1 if _DEVICES_ARE_TAKEN.get() else max(n for n in range(1, len(devices) + 1) if num_lanes % n == 0)
    batched = vectorised(function, num_lanes // used, in_axes)
    if used == 1:
        return batched
    mesh = Mesh(np.asarray(devices[:used]), ("lanes",))

    def spec(axis: int | None) -> PartitionSpec:
        return PartitionSpec() if axis is None else PartitionSpec("lanes")

    specs = jax.tree.map(spec, in_axes, is_leaf=lambda axis: axis is None)
    return jax.shard_map(batched, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("lanes"), check_vma=False)
