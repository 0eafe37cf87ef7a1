"""Linear regression of parameters on what is observed, found in one pass and kept as features of a network.

References
----------
Fearnhead & Prangle 2012, J. R. Stat. Soc. B 74, 419 (regressions as summaries); Golub, Heath & Wahba 1979, Technometrics 21, 215
(the ridge by generalised cross-validation).
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from bayesastro.inference.neural.layers import DenseNetwork, Prepared

__all__ = ["RegressionNetwork", "ridge_regression"]

RIDGES = np.geomspace(1e-10, 1e3, 40)
"""Of the mean eigenvalue of what is observed."""


class RegressionNetwork(Prepared):
    """Layers over the kept entries, and the regressions of the coordinates on them."""

    def __init__(self, kept: np.ndarray, width: int, depth: int, num_features: int, dropout: float) -> None:
        super().__init__()
        self.learnt = DenseNetwork(kept, width, depth, num_features, dropout)
        self.slopes: Tensor
        self.register_buffer("slopes", torch.zeros(num_features, len(self.learnt.place)))
        self.joined = nn.Linear(2 * num_features, num_features)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(len(x), -1)[:, self.learnt.place]
        return self.joined(torch.cat([self.learnt(x), flat @ self.slopes.T], -1))

    def prepare(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Find the slopes, from coordinates and values; of more coordinates than features of the first ones only."""
        some = ((z[:, : len(self.slopes)], x.reshape(len(x), -1)[:, self.learnt.place]) for z, x in rows)
        slopes = ridge_regression((z.double().numpy(), x.double().numpy()) for z, x in some)
        self.slopes.zero_()
        self.slopes[: len(slopes)] = torch.from_numpy(slopes).to(self.slopes)


def ridge_regression(rows: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Slopes of z on x, shape (z, x), each with the ridge that generalised cross-validation prefers.

    Parameters
    ----------
    rows : iterable of (array, shape (row, z); array, shape (row, x))
        Both with a mean of about zero.
    """
    number, xx, xz, zz = 0, np.zeros(()), np.zeros(()), np.zeros(())
    for z, x in rows:
        number += len(z)
        xx, xz, zz = xx + x.T @ x, xz + x.T @ z, zz + (z**2).sum(axis=0)
    value, vector = np.linalg.eigh(xx / number)
    value, along = value.clip(0.0), vector.T @ xz / number
    best, found = np.full(np.shape(zz), np.inf), np.zeros_like(along)
    for ridge in RIDGES * value.mean():
        slopes = along / (value + ridge)[:, None]
        residual = zz / number - 2 * (slopes * along).sum(axis=0) + (value[:, None] * slopes**2).sum(axis=0)
        freedom = (value / (value + ridge)).sum() / number
        if freedom >= 1:
            continue
        score = residual / (1 - freedom) ** 2
        found, best = np.where(score < best, slopes, found), np.minimum(score, best)
    return (vector @ found).T
