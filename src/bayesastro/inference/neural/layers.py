"""The networks behind the embeddings."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "AttentionNetwork",
    "BayesianLinear",
    "ConvolutionalNetwork",
    "DeepSet",
    "DenseNetwork",
    "HeldDropout",
    "Prepared",
    "layers_of",
]

NUM_OCTAVES = 5
"""Wavelengths, each half the one before, by which attention sees times."""

CELLS_1D = 16
"""Cells that convolutions are averaged in before the last layer: features know where they were."""


class HeldDropout(nn.Module):
    """Dropout whose units can be held fixed, so that a network with some of them left out is one network.

    Gal & Ghahramani 2016, arXiv:1506.02142: networks with different units left out are draws from a posterior over
    networks, roughly.
    """

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.width, self.rate = width, rate
        self.held: Tensor | None = None

    def hold(self, generator: torch.Generator | None) -> None:
        """Leave out the units that the generator says, until told otherwise; None for none."""
        if generator is None or self.rate == 0:
            self.held = None
        else:
            self.held = (torch.rand(self.width, generator=generator) >= self.rate) / (1 - self.rate)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return functional.dropout(x, self.rate)
        return x if self.held is None else x * self.held


class Prepared(nn.Module, ABC):
    """The network of an embedding that finds something of all rows before training; abstract."""

    @abstractmethod
    def prepare(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Find it, from batches of standardised coordinates and values."""


class BayesianLinear(nn.Module):
    """A linear map whose weights have a normal posterior each, learnt by variational inference.

    Outputs are drawn in training, given weights' means and sds (Kingma, Salimans & Welling 2015, arXiv:1506.02557, local
    reparametrisation); after it the means act, or weights that are held. Priors are those of scaled initial weights,
    N(0, 1/inputs); see also Blundell et al. 2015, arXiv:1505.05424.
    """

    def __init__(self, size: int, num_out: int) -> None:
        super().__init__()
        self.mean = nn.Linear(size, num_out)
        self.log_sd = nn.Parameter(torch.full((num_out, size), math.log(0.05 / math.sqrt(size))))
        self.held: Tensor | None = None

    def hold(self, generator: torch.Generator | None) -> None:
        """Use the weights that the generator draws, until told otherwise; None for their means."""
        noise = None if generator is None else torch.randn(self.log_sd.shape, generator=generator)
        self.held = None if noise is None else (self.mean.weight + self.log_sd.exp() * noise).detach()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            sd = functional.linear(x**2, (2 * self.log_sd).exp()).clamp_min(1e-12).sqrt()
            return self.mean(x) + sd * torch.randn_like(sd)
        return self.mean(x) if self.held is None else functional.linear(x, self.held, self.mean.bias)

    def divergence(self) -> Tensor:
        """Of the weights' posterior from their prior (Kullback & Leibler), in nats."""
        size = self.mean.weight.shape[1]
        variance = (2 * self.log_sd).exp() * size
        return 0.5 * (variance + size * self.mean.weight**2 - 1 - variance.log()).sum()


class DenseNetwork(nn.Module):
    """Layers over the kept entries, beside one linear map of them."""

    def __init__(self, kept: np.ndarray, width: int, depth: int, num_features: int, dropout: float) -> None:
        super().__init__()
        self.place: Tensor
        self.register_buffer("place", torch.from_numpy(np.flatnonzero(kept)))
        self.linear = nn.Linear(len(self.place), num_features)
        self.body = layers_of(len(self.place), width, depth, num_features, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(len(x), -1)[:, self.place]
        return self.linear(x) + self.body(x)


def layers_of(size: int, width: int, depth: int, num_features: int, dropout: float) -> nn.Sequential:
    """Hidden layers of one width, with dropout, and a linear one."""
    parts: list[nn.Module] = []
    for i in range(depth):
        parts += [nn.Linear(width if i else size, width), nn.SiLU(), HeldDropout(width, dropout)]
    return nn.Sequential(*parts, nn.Linear(width, num_features))


class ConvolutionalNetwork(nn.Module):
    """Convolutions of stride two along one axis."""

    def __init__(
        self, shape: Sequence[int], width: int, depth: int, kernel: int, num_features: int, dropout: float
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels = 1 if len(shape) == 1 else shape[1]
        length = shape[0]
        for _ in range(depth):
            stride = 2 if length >= 2 * CELLS_1D else 1
            parts += [nn.Conv1d(channels, width, kernel, stride, padding=kernel // 2), nn.ReLU()]
            channels, length = width, (length + 2 * (kernel // 2) - kernel) // stride + 1
        self.body = nn.Sequential(*parts)
        self.cells = min(length, CELLS_1D)
        self.last = layers_of(width * self.cells, 2 * width, 1, num_features, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None] if x.ndim == 2 else x.movedim(-1, 1)
        return self.last(functional.adaptive_avg_pool1d(self.body(x), self.cells).flatten(1))


class DeepSet(nn.Module):
    """The same network for every entry, then means and maxima over those that count; and means of products."""

    def __init__(
        self, channels: int, width: int, depth: int, num_factors: int, num_features: int, dropout: float
    ) -> None:
        super().__init__()
        self.each = layers_of(channels, width, depth, width, dropout)
        self.factors = nn.Linear(channels + width, num_factors) if num_factors else None
        self.first, self.second = np.triu_indices(num_factors)
        num_products = len(self.first)
        self.standardised = _Standardised(2 * width + 1 + num_products)
        self.last = layers_of(2 * width + 1 + num_products, width + num_products, 1, num_features, dropout)

    def forward(self, values: Tensor, companions: Tensor, mask: Tensor) -> Tensor:
        x = torch.cat([values, companions], -1)
        h = self.each(x)
        pooled = _pooled(h, mask)
        if self.factors is not None:
            factors = self.factors(torch.cat([x, h], -1)) * mask.to(h.dtype)[..., None]
            products = factors.transpose(1, 2) @ factors / mask.sum(1).clamp_min(1)[:, None, None]
            pooled = torch.cat([pooled, products[:, self.first, self.second]], -1)
        return self.last(self.standardised(pooled))


class _Standardised(nn.Module):
    """Features less their mean over data sets, in units of their standard deviation, both as of the last batches.

    Means over many entries hardly differ between data sets; what they say is in small differences.
    """

    RATE = 0.01
    number: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("number", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.number += 1.0
                rate = torch.reciprocal(self.number).clamp_min(self.RATE)
                self.mean += rate * (x.mean(0) - self.mean)
                self.square += rate * (x.square().mean(0) - self.square)
        spread = torch.sqrt((self.square - self.mean.square()).clamp_min(1e-8))
        return (x - self.mean) / spread


def _pooled(h: Tensor, mask: Tensor) -> Tensor:
    """Mean, maximum and number of the entries that count; zeros where none does."""
    weight = mask.to(h.dtype)[..., None]
    number = weight.sum(1)
    mean = (h * weight).sum(1) / number.clamp_min(1)
    greatest = h.masked_fill(~mask[..., None], -torch.inf).amax(1)
    greatest = torch.where(number > 0, greatest, torch.zeros_like(greatest))
    return torch.cat([mean, greatest, torch.log1p(number) / math.log1p(h.shape[1])], -1)


class AttentionNetwork(nn.Module):
    """Layers of attention among the entries that count."""

    def __init__(
        self,
        channels: int,
        num_companions: int,
        width: int,
        depth: int,
        num_heads: int,
        num_features: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(
                f"`Transformer` needs a `width` that `num_heads` divides, but {width} and {num_heads} came."
            )
        self.first = nn.Linear(channels + num_companions * (1 + 2 * NUM_OCTAVES), width)
        self.blocks = nn.ModuleList(_Attention(width, num_heads, dropout) for _ in range(depth))
        self.last = layers_of(2 * width + 1, width, 1, num_features, dropout)

    def forward(self, values: Tensor, companions: Tensor, mask: Tensor) -> Tensor:
        angle = (companions[..., None] * (math.pi / 4 * 2.0 ** torch.arange(NUM_OCTAVES))).flatten(-2)
        h = self.first(torch.cat([values, companions, angle.sin(), angle.cos()], -1))
        seen = mask | ~mask.any(1, keepdim=True)  # attention to nothing has no value
        for block in self.blocks:
            h = block(h, seen)
        return self.last(_pooled(h, mask))


class _Attention(nn.Module):
    def __init__(self, width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.projected, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.body = layers_of(width, 2 * width, 1, width, dropout)

    def forward(self, h: Tensor, seen: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.projected(self.norms[0](h)).chunk(3, -1)
        )
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None, None])
        h = h + self.joined(found.transpose(1, 2).flatten(-2))
        return h + self.body(self.norms[1](h))
