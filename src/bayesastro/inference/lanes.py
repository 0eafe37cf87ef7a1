"""Running one function over many lanes (chains, data sets): vectorised on a device, sharded over several."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

__all__ = ["over_lanes"]


def over_lanes(function: Callable[..., Any], num_lanes: int, is_lane: tuple[bool, ...]) -> Callable[..., Any]:
    """`function` vectorised over the leading axis of its lane arguments, spread over the local devices.

    Each device runs its own share as one vectorised loop, so that a loop ends when the lanes of that device are
    through and no device waits for another within it. The number of devices used is the largest that divides
    `num_lanes`.

    Parameters
    ----------
    function : callable
        Works on one lane.
    num_lanes : int
    is_lane : tuple of bool
        For each argument, whether it has a leading lane axis; the others are shared. Every output has one.
    """
    batched = jax.vmap(function, in_axes=tuple(0 if lane else None for lane in is_lane))
    devices = jax.local_devices()
    used = max(n for n in range(1, len(devices) + 1) if num_lanes % n == 0)
    if used == 1:
        return batched
    mesh = Mesh(np.asarray(devices[:used]), ("lanes",))
    specs = tuple(PartitionSpec("lanes") if lane else PartitionSpec() for lane in is_lane)
    return jax.shard_map(batched, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("lanes"), check_vma=False)
