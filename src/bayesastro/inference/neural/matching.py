"""Flow matching: draws follow a learnt velocity from standard normals to the posterior.

On the straight path z_t = (1 − t) u + t z between a normal u and a simulation's z, a network learns the velocity z − u;
its mean over all paths through a point carries the normal density to the posterior. The log-density is the
integral of the velocity's divergence along the path, by the exact trace.

References
----------
Lipman et al. 2023, arXiv:2210.02747; Wildberger et al. 2023, Flow matching for scalable simulation-based inference,
arXiv:2305.17161, equation 6.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesastro.inference.neural.density import Density, log_normal

__all__ = ["Matching"]

NUM_STEPS = 12
"""Runge–Kutta steps of fourth order from t = 0 to 1."""

NUM_FREQUENCIES = 4
"""Of the Fourier features of t."""

TIME_POWER = 0.5
"""Times are drawn as u^(1/(1+α)): more of them late, where the velocity varies most (Wildberger et al., section 3.3)."""


class Matching(Density):
    """A density by flow matching.

    Parameters
    ----------
    size : int
        Number of coordinates.
    context : int
        Length of the context.
    hidden, num_layers : int
    """

    def __init__(self, size: int, context: int, *, hidden: int, num_layers: int) -> None:
        super().__init__()
        self.noise_size = size
        self.of_context = nn.Linear(context, hidden)
        self.of_place = nn.Linear(size + 1 + 2 * NUM_FREQUENCIES, hidden, bias=False)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(num_layers))
        self.last = nn.Linear(hidden, size)

    def velocity(self, t: Tensor, z: Tensor, given: Tensor) -> Tensor:
        """At times of the shape of z without its last axis; `given` is the context's part of the first layer."""
        before = self._first(t, z, given)
        h = functional.silu(before)
        for layer in self.layers:
            h = h + functional.silu(layer(h))
        return self.last(h)

    def divergence(self, t: Tensor, z: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity and its divergence, from the derivatives along every coordinate, which lead the axes."""
        before = self._first(t, z, given)
        h = functional.silu(before)
        along = self.of_place.weight.T[: z.shape[-1]].reshape(-1, *(1,) * (z.ndim - 1), h.shape[-1])
        slopes = _silu_slope(before) * along
        for layer in self.layers:
            before = layer(h)
            h = h + functional.silu(before)
            slopes = slopes + _silu_slope(before) * functional.linear(slopes, cast(Tensor, layer.weight))
        return self.last(h), torch.einsum("i...h,ih->...", slopes, self.last.weight)

    def _first(self, t: Tensor, z: Tensor, given: Tensor) -> Tensor:
        angle = torch.pi * torch.arange(1, NUM_FREQUENCIES + 1) * t[..., None]
        return self.of_place(torch.cat([z, t[..., None], angle.sin(), angle.cos()], -1)) + given

    def loss(self, z: Tensor, context: Tensor) -> Tensor:
        t, noise = torch.rand(len(z)) ** (1 / (1 + TIME_POWER)), torch.randn_like(z)
        on_path = (1 - t[:, None]) * noise + t[:, None] * z
        found = self.velocity(t, on_path, self.of_context(context))
        return ((found - (z - noise)) ** 2).mean(-1)

    def sample(self, noise: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = self._carried(noise, context, 0.0, 1.0)
        return z, log_normal(noise) - log_det

    def log_prob(self, z: Tensor, context: Tensor) -> Tensor:
        u, log_det = self._carried(z, context, 1.0, 0.0)
        return log_normal(u) + log_det

    def _carried(self, z: Tensor, context: Tensor, start: float, stop: float) -> tuple[Tensor, Tensor]:
        """Points carried from one time to another, and the integral of the divergence."""
        given, step = self.of_context(context)[:, None], (stop - start) / NUM_STEPS
        total = torch.zeros(z.shape[:2])
        for i in range(NUM_STEPS):
            t = start + i * step
            v1, d1 = self._flow(t, z, given)
            v2, d2 = self._flow(t + step / 2, z + step / 2 * v1, given)
            v3, d3 = self._flow(t + step / 2, z + step / 2 * v2, given)
            v4, d4 = self._flow(t + step, z + step * v3, given)
            z = z + step / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
            total = total + step / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        return z, total

    def _flow(self, t: float, z: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        return self.divergence(torch.full(z.shape[:2], t), z, given)


def _silu_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(x)
    return s * (1 + x * (1 - s))
