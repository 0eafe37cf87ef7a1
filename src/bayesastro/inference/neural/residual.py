"""Residual networks over pixels, and over rings about a centre.

References
----------
He et al. 2016, arXiv:1512.03385.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesastro.inference.neural.layers import layers_of

__all__ = ["Block", "ResidualNetwork", "RingConvolution"]

CELLS = 3
"""Cells that convolutions are averaged in before the last layer, along each axis: features know where they were."""


class ResidualNetwork(nn.Module):
    """Stages of two residual blocks, each stage at half the resolution of the one before."""

    def __init__(
        self, shape: Sequence[int], width: int, depth: int, stride: int, num_features: int, dropout: float
    ) -> None:
        super().__init__()
        channels = 1 if len(shape) == 2 else shape[2]
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 2 * stride + 1, stride, padding=stride), nn.ReLU()]
        for stage in range(depth):
            wider = width * 2**stage
            parts += [Block(max(wider // 2, width), wider, 2 if stage else 1), Block(wider, wider, 1)]
        self.body = nn.Sequential(*parts)
        with torch.no_grad():
            found = self.body(torch.zeros(1, channels, shape[0], shape[1])).shape
        self.cells = (min(found[2], CELLS), min(found[3], CELLS))
        self.last = layers_of(found[1] * math.prod(self.cells), 128, 1, num_features, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None] if x.ndim == 3 else x.movedim(-1, 1)
        return self.last(functional.adaptive_avg_pool2d(self.body(x), self.cells).flatten(1))


class RingConvolution(nn.Module):
    """A convolution over (radius, angle): angles go round, and beyond the first and last radius there is nothing."""

    def __init__(self, channels: int, wider: int, kernel: int, stride: tuple[int, int], *, bias: bool) -> None:
        super().__init__()
        self.margin = kernel // 2
        self.convolution = nn.Conv2d(channels, wider, kernel, stride, padding=(self.margin, 0), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(torch.cat([x[..., -self.margin :], x, x[..., : self.margin]], -1))


class Block(nn.Module):
    """Two convolutions with group normalisation, beside a short cut; over pixels or over rings."""

    def __init__(self, channels: int, wider: int, stride: int, *, is_ring: bool = False) -> None:
        super().__init__()
        groups = math.gcd(wider, 8)
        self.first, self.second = (
            RingConvolution(inputs, wider, 3, (step, step), bias=False)
            if is_ring
            else nn.Conv2d(inputs, wider, 3, step, padding=1, bias=False)
            for inputs, step in ((channels, stride), (wider, 1))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(groups, wider) for _ in range(2))
        same = channels == wider and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(channels, wider, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(h)) + self.short(x))
