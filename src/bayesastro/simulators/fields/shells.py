"""Power of fields on a grid, averaged over shells of wave number."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayesastro.simulators.fields.grids import RegularGrid

__all__ = ["shell_index", "shell_power"]


def shell_index(grid: RegularGrid, edges: Float[np.ndarray, " shells_and_one"]) -> Int[np.ndarray, "..."]:
    """Shell of each mode of a grid, as many as there are shells where it is in none.

    Parameters
    ----------
    grid : RegularGrid
    edges : array, shape (shells + 1,) [radians per unit of length]
        Wave numbers, rising; a shell holds its lower edge.
    """
    edges = np.asarray(edges, float)
    shell = np.searchsorted(edges, 2.0 * np.pi * np.asarray(grid.mode_length), side="right") - 1
    shell = np.where((shell < 0) | (shell > edges.size - 2), edges.size - 1, shell)
    return shell[np.asarray(grid.mode_index)]


def shell_power(
    one: Float[Array, "..."],
    other: Float[Array, "..."],
    grid: RegularGrid,
    edges: Float[np.ndarray, " shells_and_one"],
) -> Float[Array, " shells"]:
    """Mean of the product of two fields' modes in each shell: the power spectrum of one with itself, or their cross power.

    Parameters
    ----------
    one, other : array
        Of the grid's shape.
    grid : RegularGrid
        Without padding.
    edges : array, shape (shells + 1,) [radians per unit of length]

    Returns
    -------
    array, shape (shells,) [unit of length to the power of the dimensions]
        NaN of shells without modes.
    """
    shell = shell_index(grid, edges).ravel()
    count = np.bincount(shell, minlength=len(edges))[:-1]
    # The transform is its own inverse up to the number of modes.
    modes = [grid.synthesised(field) / field.size for field in (one, other)]
    total = jnp.zeros(len(edges)).at[shell].add((modes[0] * modes[1]).ravel())[:-1]
    return grid.volume * jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)
