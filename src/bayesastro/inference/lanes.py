"""Running one function over many lanes (chains, data sets): vectorised on a device, sharded over several."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

__all__ = ["on_one_device", "over_lanes"]

_DEVICES_ARE_TAKEN: ContextVar[bool] = ContextVar("devices are taken", default=False)


@contextmanager
def on_one_device() -> Iterator[None]:
    """Within the context lanes are vectorised only: lanes around them are spread over the devices already."""
    token = _DEVICES_ARE_TAKEN.set(True)
    try:
        yield
    finally:
        _DEVICES_ARE_TAKEN.reset(token)


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
    batched = jax.vmap(function, in_axes=in_axes)
    devices = jax.local_devices()
    used = 1 if _DEVICES_ARE_TAKEN.get() else max(n for n in range(1, len(devices) + 1) if num_lanes % n == 0)
    if used == 1:
        return batched
    mesh = Mesh(np.asarray(devices[:used]), ("lanes",))

    def spec(axis: int | None) -> PartitionSpec:
        return PartitionSpec() if axis is None else PartitionSpec("lanes")

    specs = jax.tree.map(spec, in_axes, is_leaf=lambda axis: axis is None)
    return jax.shard_map(batched, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("lanes"), check_vma=False)
