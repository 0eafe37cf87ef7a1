"""Networks that stand in for the likelihood: a density of the data given the parameters, and a ratio.

Both give, for standardised coordinates z and a *context* of the observed sites, a log-likelihood up to a constant:

* :class:`LikelihoodNetwork`: log q(x | z), its context the values themselves.
* :class:`RatioNetwork`: log p(x | z)/p(x), as a classifier has it that tells pairs (z, x) of one simulation from pairs
  of two; its context a summary of the sites.

Activations are smooth, for engines walk along the gradients.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bayesastro.inference.neural.densities import FLOWS
from bayesastro.inference.neural.density import Density
from bayesastro.inference.neural.network import Learner, Plan, SiteSummary

__all__ = ["LikelihoodNetwork", "RatioNetwork", "SurrogateNetwork", "contrasted", "smooth_layers"]

DEPTH = 3
"""Hidden layers of what acts on the coordinates."""

BALANCE = 100.0
"""Weight of the balancing condition; Delaunoy et al. 2022 find that any of that order serves."""


class SurrogateNetwork(Learner, ABC):
    """A network for log-likelihoods; abstract."""

    @abstractmethod
    def log_likelihood(self, z: Tensor, context: Tensor) -> Tensor:
        """For coordinates of shape (context, draw, coordinate), shape (context, draw)."""


def smooth_layers(size: int, width: int, depth: int, num_out: int) -> nn.Sequential:
    """Hidden layers with sigmoid-weighted units, and a linear one."""
    parts: list[nn.Module] = []
    for i in range(depth):
        parts += [nn.Linear(width if i else size, width), nn.SiLU()]
    return nn.Sequential(*parts, nn.Linear(width, num_out))


class LikelihoodNetwork(SurrogateNetwork):
    """log q(x | z) of all kept values of the observed sites together."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.places = {name: torch.from_numpy(np.flatnonzero(kept)) for name, kept in plan.kept.items()}
        number = sum(len(place) for place in self.places.values())
        self.body = smooth_layers(plan.size, plan.hidden, DEPTH, plan.num_features)
        make = FLOWS[plan.flow]
        self.density: Density = make(number, plan.num_features, num_transforms=plan.num_transforms, hidden=plan.hidden)

    def context(self, x: Mapping[str, Tensor]) -> Tensor:
        """The kept values, shape (row, value)."""
        return torch.cat([x[name].reshape(len(x[name]), -1)[:, place] for name, place in self.places.items()], -1)

    def log_likelihood(self, z: Tensor, context: Tensor) -> Tensor:
        given = self.body(z.reshape(-1, z.shape[-1]))
        values = context[:, None].expand(*z.shape[:2], -1).reshape(len(given), 1, -1)
        return self.density.log_prob(values, given).view(z.shape[:2])

    def loss(self, z: Tensor, x: Mapping[str, Tensor]) -> Tensor:
        return -self.log_likelihood(z[:, None], self.context(x))[:, 0]


class RatioNetwork(SiteSummary, SurrogateNetwork):
    """log p(x | z)/p(x), from telling pairs of one simulation from others."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.head = smooth_layers(plan.size + plan.num_features, plan.hidden, DEPTH, 1)

    def log_likelihood(self, z: Tensor, context: Tensor) -> Tensor:
        given = context[:, None].expand(*z.shape[:2], -1)
        return self.head(torch.cat([z, given], -1))[..., 0]

    def loss(self, z: Tensor, x: Mapping[str, Tensor]) -> Tensor:
        plan = self.plan
        return contrasted(self.log_likelihood, z, self.context(x), plan.num_contrasts, balanced=plan.balanced)


def contrasted(
    log_ratio: Callable[[Tensor, Tensor], Tensor], z: Tensor, context: Tensor, num_contrasts: int, *, balanced: bool
) -> Tensor:
    """What training a ratio makes small, by row: from its own coordinates among those of other rows.

    With K others, of even odds between "none belongs" and "one of K does" (Miller, Weniger & Forré 2022,
    arXiv:2210.06170, equation 9, γ = 1); the best ratio is normalised. For K = 1 it is the binary one, to which the
    balancing condition may be added (Delaunoy et al. 2022, arXiv:2208.13624, equation 8).
    """
    number = min(num_contrasts, len(z) - 1)
    # Rows come in random order, so that the next ones are as good as any.
    place = (torch.arange(len(z))[:, None] + torch.arange(number + 1)) % len(z)
    found, log_number = log_ratio(z[place], context), math.log(number)
    together = found[:, :-1].logsumexp(1)
    joint = functional.softplus(log_number - together) + together - found[:, 0]
    marginal = functional.softplus(found[:, 1:].logsumexp(1) - log_number)
    loss = 0.5 * (joint + marginal)
    if balanced:
        loss = loss + BALANCE * (found[:, :2].sigmoid().mean(0).sum() - 1) ** 2
    return loss
