"""Conditional densities q(z | context) of standardised coordinates, behind one small interface.

Draws are made from noise that is given: a row of standard normals makes a draw, whatever else is drawn with it.

============== ==================================================================================================
spline         coupling flow of monotone rational-quadratic splines: the default
affine         coupling flow of affine maps, the conditional invertible network
autoregressive masked autoregressive flow; draws coordinate by coordinate
mixture        mixture density network: normals of full covariance
matching       flow matching: an ordinary differential equation; a draw costs many evaluations
============== ==================================================================================================

All but the last two begin with one conditional normal of full covariance, which takes up where a posterior lies, and
how narrow it is; the flow has only its shape to learn.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bayesastro.inference.neural.couplings import CouplingFlow
from bayesastro.inference.neural.density import Density, log_normal
from bayesastro.inference.neural.matching import Matching

__all__ = ["FLOWS", "Mixture", "NormalFlow"]

NUM_BINS = 8
"""Of a spline."""

FULL_COVARIANCE = 64
"""Coordinates up to which normals have a full covariance, and not a diagonal one."""


class NormalFlow(Density):
    """A flow behind a conditional normal.

    Parameters
    ----------
    flow : module
        With ``forward`` and ``inverse`` between the coordinates and standard normals, as `CouplingFlow` has them.
    """

    def __init__(self, flow: Any, size: int, context: int) -> None:
        super().__init__()
        self.noise_size, self.flow, self.normals = size, flow, _Normals(size, context, 1)

    def log_prob(self, z: Tensor, context: Tensor) -> Tensor:
        mean, factor, log_det = self.normals(context)
        u = torch.einsum("bij,bnj->bni", factor[:, 0], z - mean)
        u, more = self.flow(u, context)
        return log_normal(u) + more + log_det

    def sample(self, noise: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        mean, factor, log_det = self.normals(context)
        u, more = self.flow.inverse(noise, context)
        z = mean + torch.einsum("bij,bnj->bni", _inverse_of(factor[:, 0]), u)
        return z, log_normal(noise) + more + log_det


class Mixture(Density):
    """Normals of full covariance, their weights, means and covariances given by the context.

    References
    ----------
    Bishop 1994, Mixture density networks, Aston University NCRG/94/004.
    """

    def __init__(self, size: int, context: int, *, hidden: int, num_components: int) -> None:
        super().__init__()
        self.noise_size = size + 1
        self.body = nn.Sequential(nn.Linear(context, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.logits = nn.Linear(hidden, num_components)
        self.normals = _Normals(size, hidden, num_components)

    def log_prob(self, z: Tensor, context: Tensor) -> Tensor:
        h = self.body(context)
        return self._log_prob(z, self.logits(h).log_softmax(-1), *self.normals(h))

    def _log_prob(self, z: Tensor, log_weight: Tensor, mean: Tensor, factor: Tensor, log_det: Tensor) -> Tensor:
        u = torch.einsum("bkij,bnkj->bnki", factor, z[:, :, None] - mean[:, None])
        return (log_normal(u) + (log_weight + log_det)[:, None]).logsumexp(-1)

    def sample(self, noise: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(context)
        log_weight, (mean, factor, log_det) = self.logits(h).log_softmax(-1), self.normals(h)
        uniform = torch.special.ndtr(noise[..., -1:])
        chosen = (uniform > log_weight.exp().cumsum(-1)[:, None, :-1]).sum(-1)
        row = torch.arange(len(context))[:, None]
        spread = torch.einsum("bnij,bnj->bni", _inverse_of(factor)[row, chosen], noise[..., :-1])
        z = mean[row, chosen] + spread
        return z, self._log_prob(z, log_weight, mean, factor, log_det)


class _Normals(nn.Module):
    """Means, and factors M of the precisions MᵀM, of `number` normals given a context.

    M has the rows d_i (… , n_ij, 1, 0 …), so that its entries n are of order one however narrow the normal is.
    """

    def __init__(self, size: int, context: int, number: int) -> None:
        super().__init__()
        self.size, self.number, self.is_full = size, number, size <= FULL_COVARIANCE
        num_lower = size * (size - 1) // 2 if self.is_full else 0
        self.linear = nn.Linear(context, number * (2 * size + num_lower))
        with torch.no_grad():
            self.linear.weight *= 0.1
            bias = torch.zeros(number, 2 * size + num_lower)
            if number > 1:  # components that begin alike stay alike
                bias[:, :size] = torch.randn(number, size)
            self.linear.bias.copy_(bias.ravel())

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means (context, component, size), factors (…, size, size), their log-determinants (context, component)."""
        found = self.linear(context).view(len(context), self.number, -1)
        mean, log_diagonal, lower = found.split([self.size, self.size, found.shape[-1] - 2 * self.size], -1)
        log_diagonal = 10 * torch.tanh(log_diagonal / 10)  # e^±10 of the prior's width, and no overflow on the way
        factor = torch.diag_embed(torch.ones_like(log_diagonal))
        if self.is_full:
            row, column = torch.tril_indices(self.size, self.size, -1)
            factor[..., row, column] = lower
        return mean, log_diagonal.exp()[..., None] * factor, log_diagonal.sum(-1)


def _inverse_of(factor: Tensor) -> Tensor:
    unit = torch.eye(factor.shape[-1], dtype=factor.dtype).expand_as(factor)
    return torch.linalg.solve_triangular(factor, unit, upper=False)


class _Autoregressive(nn.Module):
    """zuko's masked autoregressive flow."""

    def __init__(self, size: int, context: int, *, num_transforms: int, hidden: int) -> None:
        import zuko

        super().__init__()
        self.flow = zuko.flows.MAF(
            size, context, transforms=num_transforms, hidden_features=(hidden, hidden), randperm=True
        )

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow(context[:, None]).transform.call_and_ladj(z)

    def inverse(self, u: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = self.flow(context[:, None].expand(*u.shape[:2], -1)).transform.inv.call_and_ladj(u)
        return z, -log_det


def _spline(size: int, context: int, *, num_transforms: int, hidden: int) -> Density:
    flow = CouplingFlow("spline", size, context, num_transforms=num_transforms, hidden=hidden, num_bins=NUM_BINS)
    return NormalFlow(flow, size, context)


def _affine(size: int, context: int, *, num_transforms: int, hidden: int) -> Density:
    flow = CouplingFlow("affine", size, context, num_transforms=num_transforms, hidden=hidden, num_bins=NUM_BINS)
    return NormalFlow(flow, size, context)


def _autoregressive(size: int, context: int, *, num_transforms: int, hidden: int) -> Density:
    flow = _Autoregressive(size, context, num_transforms=num_transforms, hidden=hidden)
    return NormalFlow(flow, size, context)


def _mixture(size: int, context: int, *, num_transforms: int, hidden: int) -> Density:
    return Mixture(size, context, hidden=hidden, num_components=2 * num_transforms)


def _matching(size: int, context: int, *, num_transforms: int, hidden: int) -> Density:
    return Matching(size, context, hidden=2 * hidden, num_layers=num_transforms)


FLOWS: Mapping[str, Callable[..., Density]] = {
    "spline": _spline,
    "affine": _affine,
    "autoregressive": _autoregressive,
    "mixture": _mixture,
    "matching": _matching,
}
"""Densities by the name that `NPE` has for them, made with the sizes of coordinates and context."""
