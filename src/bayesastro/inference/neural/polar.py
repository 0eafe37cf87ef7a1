"""A network that sees an image in polar coordinates about its object, with the object's smooth light apart.

What surrounds a galaxy (the arcs of a lens, rings, tails) is a thousand times fainter than its middle, and what is asked
is how far out it lies. Global standardisation hides it, and averages over pixels forget its radius. Here rings about the
centroid become rows, so that a turn is a shift, a circle is a line, and each row has its place in the last layers. The
network sees three maps, in units of the noise and through a logarithm: the light; the light without what each ring has of
the even harmonics 0, 2 and 4 of the angle, to which any elliptical galaxy is close; and the light without itself turned by half a
circle, from which everything drops out that is symmetric about the centre. Beside them it sees the harmonics of each
ring, in which an ellipticity is a ratio.
"""

import math
from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesastro.inference.neural.layers import Prepared, layers_of
from bayesastro.inference.neural.residual import Block, RingConvolution

__all__ = ["PolarNetwork"]

EVEN, ODD = (2, 4), (1, 3)
"""Harmonics of the angle beside the mean."""

NUM_TURNS = 5
"""Of finding the centroid; each makes an error of it smaller by several times."""

NUM_BATCHES = 2
"""Of rows from which noise and zero level are found."""

WIDTH = 192
"""Units of the layers over the harmonics, and before the features."""


class PolarNetwork(Prepared):
    """Residual blocks over (radius, angle), beside layers over the harmonics of the rings and the centroid.

    Parameters
    ----------
    kept : array of bool, shape (ny, nx)
    width, depth, num_radii, num_angles, centring : int
        See :class:`PolarResNet`.
    num_features : int
    dropout : float
    """

    def __init__(
        self,
        kept: np.ndarray,
        *,
        width: int,
        depth: int,
        num_radii: int,
        num_angles: int,
        centring: int,
        num_features: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.kept: Tensor
        self.directions: Tensor
        self.harmonics: Tensor
        self.zero: Tensor
        self.noise: Tensor
        self.shape, self.num_radii, self.centring = kept.shape, num_radii, centring
        self.register_buffer("kept", torch.from_numpy(kept).float())
        self.register_buffer("zero", torch.zeros(()))
        self.register_buffer("noise", torch.ones(()))
        phi = 2 * math.pi * torch.arange(num_angles) / num_angles
        self.register_buffer("directions", torch.stack([phi.cos(), phi.sin()], -1))
        waves = [f(k * phi) * math.sqrt(2) for k in EVEN + ODD for f in (torch.cos, torch.sin)]
        self.register_buffer("harmonics", torch.stack([torch.ones(num_angles), *waves], -1))
        parts: list[nn.Module] = [RingConvolution(3, width, 5, (2, 4), bias=True), nn.ReLU()]
        for stage in range(depth):
            wider = width * 2**stage
            parts += [Block(max(wider // 2, width), wider, 2, is_ring=True), Block(wider, wider, 1, is_ring=True)]
        self.body = nn.Sequential(*parts)
        num_waves = len(waves)
        self.rings = layers_of(num_radii * (2 * num_waves + 1) + 2, WIDTH, 1, WIDTH, dropout)
        with torch.no_grad():
            size = self.body(torch.zeros(1, 3, num_radii, num_angles)).numel()
        self.last = layers_of(size + WIDTH, WIDTH, 1, num_features, dropout)

    def prepare(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Zero level and noise: medians over pixels, and over neighbours' differences."""
        zeros, noises = [], []
        both = (self.kept[:, 1:] * self.kept[:, :-1]).bool()
        for _, x in islice(rows, NUM_BATCHES):
            zeros.append(x[:, self.kept.bool()].median(1).values)
            noises.append((x[..., 1:] - x[..., :-1])[:, both].abs().median(1).values / (0.6745 * math.sqrt(2)))
        self.zero.copy_(torch.cat(zeros).median())
        self.noise.copy_(torch.cat(noises).median().clamp_min(1e-6))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():  # there is nothing to learn before the first convolution
            maps, rings = self.seen((x - self.zero) / self.noise * self.kept)
        return self.last(torch.cat([self.body(maps).flatten(1), functional.silu(self.rings(rings))], -1))

    def seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Three maps of shape (row, 3, radius, angle), and the harmonics of rings with the centroid, of images in units of
        the noise."""
        centre = self.centroid(x)
        size = torch.tensor([self.shape[1], self.shape[0]])
        radius = torch.arange(self.num_radii) + 0.5
        place = centre[:, None, None] + radius[:, None, None] * self.directions
        polar = functional.grid_sample(x[:, None], 2 * place / size, align_corners=False)[:, 0]
        harmonics = polar @ self.harmonics / self.harmonics.shape[0]
        num_even = 1 + 2 * len(EVEN)
        smooth = harmonics[..., :num_even] @ self.harmonics[:, :num_even].T
        turned = polar.roll(polar.shape[-1] // 2, -1)
        maps = torch.stack(
            [_compressed(polar) / 2 - 1, _compressed(polar - smooth), _compressed((polar - turned) / 1.4)], 1
        )
        ratios = harmonics[..., 1:] / (harmonics[..., :1].abs() + 1)
        parts = [_compressed(harmonics).flatten(1), 4 * ratios.flatten(1), centre / self.centring]
        return maps, torch.cat(parts, -1)

    def centroid(self, x: Tensor) -> Tensor:
        """Of positive light under a normal weight that follows it, in pixels from the middle; shape (row, 2)."""
        centre, light = x.new_zeros((len(x), 2)), x.clamp_min(0)
        across, along = (torch.arange(n) - 0.5 * (n - 1) for n in (self.shape[1], self.shape[0]))
        for _ in range(NUM_TURNS):
            weight_x, weight_y = (
                torch.exp(-0.5 * ((place - centre[:, i : i + 1]) / self.centring) ** 2)
                for i, place in enumerate((across, along))
            )
            columns, lines = torch.einsum("bij,bi->bj", light, weight_y), torch.einsum("bij,bj->bi", light, weight_x)
            total = (columns * weight_x).sum(1).clamp_min(1e-6)
            mean = torch.stack([(columns * weight_x) @ across, (lines * weight_y) @ along], -1)
            # The weight pulls the mean half the way back to where it was, for light as wide as the weight.
            centre = (centre + 2 * (mean / total[:, None] - centre)).clamp(-2 * self.centring, 2 * self.centring)
        return centre


def _compressed(x: Tensor) -> Tensor:
    return torch.copysign(torch.log1p(x.abs()), x)
