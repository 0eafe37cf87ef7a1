"""The interface of a conditional density."""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["Density", "log_normal"]


class Density(nn.Module, ABC):
    """q(z | context); abstract.

    Coordinates have shape (context, draw, coordinate), contexts (context, feature).
    """

    noise_size: int
    """Standard normals that make a draw."""

    @abstractmethod
    def log_prob(self, z: Tensor, context: Tensor) -> Tensor:
        """log q, shape (context, draw)."""

    @abstractmethod
    def sample(self, noise: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Draws from noise of shape (context, draw, noise_size), and their log q."""

    def loss(self, z: Tensor, context: Tensor) -> Tensor:
        """What training makes small, for each row of z of shape (row, coordinate)."""
        return -self.log_prob(z[:, None], context)[:, 0]


def log_normal(u: Tensor) -> Tensor:
    """Log-density of independent standard normals along the last axis."""
    return -0.5 * (u**2).sum(-1) - 0.5 * u.shape[-1] * math.log(2 * math.pi)
