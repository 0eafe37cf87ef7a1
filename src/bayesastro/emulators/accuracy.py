"""How far an emulator is off, at points of the grid that it never saw."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from bayesastro.emulators.grid import Grid
from bayesastro.simulators.emulators.forms import Emulator

__all__ = ["Accuracy", "measured", "quadratic"]

CHUNK = 64
"""Points that are emulated at once."""


@dataclass(frozen=True)
class Accuracy:
    """What an emulator is off, where it was not trained.

    Attributes
    ----------
    table : DataFrame
        Absolute residuals over points and outputs: root mean square, median, 95th and 99th percentile, largest. A row for the
        emulator, one for as many principal components with the best amplitudes where they are used, one for a quadratic function of the labels at each output (Ness et al. 2015, ApJ 808, 16), and one for
        the mean.
    labels : array, shape (points, k)
    residual : array, shape (points, n)
        Emulated less simulated.
    """

    table: pd.DataFrame
    labels: Float[np.ndarray, "m k"]
    residual: Float[np.ndarray, "m n"]

    @property
    def worst(self) -> dict[str, int | float]:
        """The point, as a row of `labels`, and the output, at which it is off most, and by how much."""
        point, output = np.unravel_index(np.abs(self.residual).argmax(), self.residual.shape)
        return {"point": int(point), "output": int(output), "residual": float(self.residual[point, output])}

    def __str__(self) -> str:
        return (
            f"At {len(self.residual)} points that were held out:\n{self.table.to_string(float_format='{:.3g}'.format)}"
        )


def measured(
    made: Callable[[Float[np.ndarray, "..."]], Emulator], grid: Grid, limits: Mapping[str, Float[np.ndarray, "m n"]]
) -> tuple[Emulator, Accuracy]:
    """The emulator with its error, and its accuracy at points that are held out.

    Parameters
    ----------
    made : callable
        Error to emulator.
    grid : Grid
    limits : mapping of str to array, shape (held out, n)
        What outputs could be at best.
    """
    labels, truth = grid.labels[grid.held_out], grid.outputs[grid.held_out]
    with jax.enable_x64(True):
        emulator = made(np.zeros(()))
        # Points that are held out lie in the box, but for rounding.
        at = np.clip(labels, grid.domain.low, grid.domain.high)
        emulate = jax.jit(lambda emulator, labels: jax.lax.map(emulator, labels, batch_size=CHUNK))
        residual = np.asarray(emulate(emulator, at)) - truth
    rows = {
        "emulator": residual,
        **{name: values - truth for name, values in limits.items()},
        "quadratic in labels": quadratic(grid, grid.scaled[grid.held_out]) - truth,
        "mean": grid.mean - truth,
    }
    table = pd.DataFrame({name: _figures(np.abs(values)) for name, values in rows.items()}).T
    error = np.sqrt(np.mean(residual**2, axis=0))
    return made(error), Accuracy(table, labels, residual)


def _figures(size: Float[np.ndarray, "m n"]) -> dict[str, float]:
    median, most, nearly_all = np.percentile(size, [50, 95, 99])
    rms = float(np.sqrt(np.mean(size**2)))
    return {"rms": rms, "median": median, "95 %": most, "99 %": nearly_all, "largest": float(size.max())}


def quadratic(grid: Grid, scaled: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m n"]:
    """Outputs by least squares of a quadratic function of the labels, learnt from all points but those held out."""

    def terms(x: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m t"]:
        first, second = np.triu_indices(x.shape[1])
        return np.hstack([np.ones((len(x), 1)), x, x[:, first] * x[:, second]])

    seen = np.concatenate([grid.training, grid.validation])
    return terms(scaled) @ np.linalg.lstsq(terms(grid.scaled[seen]), grid.outputs[seen], rcond=None)[0]
