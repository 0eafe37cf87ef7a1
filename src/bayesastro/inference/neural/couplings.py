"""Coupling flows: one half of the coordinates is transformed given the other half and the context, in turns.

Rows of one context lie together, so that what depends on the context alone is computed once for all draws given it.
Coordinates are along the leading axis inside a flow; see :mod:`bayesastro.inference.neural.splines`.

References
----------
Dinh, Sohl-Dickstein & Bengio 2017, arXiv:1605.08803 (affine); Durkan et al. 2019, arXiv:1906.04032 (splines).
"""

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from bayesastro.inference.neural.splines import num_spline_parameters, spline, spline_inverse

__all__ = ["CouplingFlow"]

MAX_LOG_SCALE = 3.0
"""Of one affine coupling, softly: deep stacks stay stable, and eight of them still span eleven decades."""


class CouplingFlow(nn.Module):
    """Coordinates u, standard normal if the flow is right, from coordinates z; and back.

    Parameters
    ----------
    kind : {"spline", "affine"}
    size : int
        Number of coordinates.
    context : int
        Length of the context.
    num_transforms, hidden, num_bins : int
    """

    def __init__(
        self,
        kind: Literal["spline", "affine"],
        size: int,
        context: int,
        *,
        num_transforms: int,
        hidden: int,
        num_bins: int,
    ) -> None:
        super().__init__()
        number = num_spline_parameters(num_bins) if kind == "spline" else 2
        self.kind = kind
        self.couplings = nn.ModuleList(
            _Conditioner(size, context, hidden, number, moves_last=i % 2 == 0) for i in range(num_transforms)
        )
        self.mixings = nn.ModuleList(_Mixing(size) for _ in range(num_transforms if size > 1 else 0))

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """u and log |∂u/∂z|, for z of shape (context, draw, coordinate)."""
        x, log_det = _rows_last(z), torch.zeros((), dtype=z.dtype)
        for coupling, mixing in self.pairs():
            if mixing is not None:
                x, more = mixing(x)
                log_det = log_det + more
            kept, moved = coupling.parts(x)
            parameters = coupling(kept, context)
            moved, more = spline(parameters, moved) if self.kind == "spline" else _affine(parameters, moved)
            x, log_det = coupling.joined(kept, moved), log_det + more.sum(0)
        return _rows_first(x, z.shape), log_det.expand(x.shape[1]).reshape(z.shape[:2])

    def inverse(self, u: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """z and log |∂u/∂z|, for u of shape (context, draw, coordinate)."""
        x, log_det = _rows_last(u), torch.zeros((), dtype=u.dtype)
        for coupling, mixing in reversed(self.pairs()):
            kept, moved = coupling.parts(x)
            parameters = coupling(kept, context)
            inverse = spline_inverse if self.kind == "spline" else _affine_inverse
            moved, more = inverse(parameters, moved)
            x, log_det = coupling.joined(kept, moved), log_det + more.sum(0)
            if mixing is not None:
                x, more = mixing.inverse(x)
                log_det = log_det + more
        return _rows_first(x, u.shape), log_det.expand(x.shape[1]).reshape(u.shape[:2])

    def pairs(self) -> "list[tuple[_Conditioner, _Mixing | None]]":
        """Couplings, each with the mixing before it; none where there is one coordinate."""
        mixings: Any = self.mixings if len(self.mixings) else [None] * len(self.couplings)
        return list(zip(cast(Any, self.couplings), mixings, strict=True))


def _rows_last(z: Tensor) -> Tensor:
    return z.reshape(-1, z.shape[-1]).T.contiguous()


def _rows_first(x: Tensor, shape: torch.Size) -> Tensor:
    return x.T.reshape(shape)


def _affine(parameters: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    log_scale = MAX_LOG_SCALE * torch.tanh(parameters[0] / MAX_LOG_SCALE)
    return x * log_scale.exp() + parameters[1], log_scale


def _affine_inverse(parameters: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    log_scale = MAX_LOG_SCALE * torch.tanh(parameters[0] / MAX_LOG_SCALE)
    return (y - parameters[1]) * (-log_scale).exp(), log_scale


class _Conditioner(nn.Module):
    """The network that gives the moved coordinates' transformation from the kept ones and the context."""

    def __init__(self, size: int, context: int, hidden: int, number: int, *, moves_last: bool) -> None:
        super().__init__()
        self.num_first = size // 2 if moves_last else size - size // 2
        self.moves_last, self.number = moves_last, number
        num_kept = self.num_first if moves_last else size - self.num_first
        if size == 1:
            self.num_first, num_kept, self.moves_last = 0, 0, True
        self.of_context = nn.Linear(context, hidden)
        self.of_kept = nn.Linear(num_kept, hidden, bias=False) if num_kept else None
        self.middle = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, number * (size - num_kept))
        with torch.no_grad():  # begin near the identity
            self.last.weight *= 0.1
            self.last.bias.zero_()

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The coordinates that are kept, and those that are moved."""
        first, last = x[: self.num_first], x[self.num_first :]
        return (first, last) if self.moves_last else (last, first)

    def joined(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([kept, moved] if self.moves_last else [moved, kept])

    def forward(self, kept: Tensor, context: Tensor) -> Tensor:
        """Parameters of shape (parameter, coordinate, row)."""
        given, rows = self.of_context(context).T, kept.shape[1]
        shape = (len(given), len(context), rows // len(context))
        h = given[:, :, None].expand(shape)
        if self.of_kept is not None:
            h = (self.of_kept.weight @ kept).view(shape) + h
        h = torch.relu(h).reshape(len(given), rows)
        h = torch.relu(torch.addmm(self.middle.bias[:, None], self.middle.weight, h))
        found = torch.addmm(self.last.bias[:, None], self.last.weight, h)
        return found.view(self.number, -1, rows)


class _Mixing(nn.Module):
    """A linear map of all coordinates by its LU factors, after a fixed random permutation."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.permutation: Tensor
        self.register_buffer("permutation", torch.randperm(size))
        self.factors = nn.Parameter(torch.zeros(size, size))

    def _triangles(self) -> tuple[Tensor, Tensor]:
        unit = torch.eye(len(self.factors), dtype=self.factors.dtype)
        return self.factors.tril(-1) + unit, self.factors.triu(1) + torch.diag(self.factors.diagonal().exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._triangles()
        return lower @ upper @ x[self.permutation], self.factors.diagonal().sum()

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._triangles()
        unit = torch.eye(len(lower), dtype=lower.dtype)
        matrix = torch.linalg.solve_triangular(upper, unit, upper=True) @ torch.linalg.solve_triangular(
            lower, unit, upper=False, unitriangular=True
        )
        return (matrix @ y)[self.permutation.argsort()], self.factors.diagonal().sum()
