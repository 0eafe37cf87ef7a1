"""Networks for the ratios of several marginals at once: one summary of the data, a head for each marginal."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bayesastro.inference.neural.network import Plan, SiteSummary
from bayesastro.inference.neural.surrogates import DEPTH, contrasted, smooth_layers

__all__ = ["MarginalRatios"]


class MarginalRatios(SiteSummary):
    """log p(z_m | x)/p(z_m) for marginals m, each a group of coordinates.

    Parameters
    ----------
    plan : Plan
        Its `marginals` say which coordinates.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.marginals = [list(marginal) for marginal in plan.marginals]
        self.heads = nn.ModuleList(
            smooth_layers(len(marginal) + plan.num_features, plan.hidden, DEPTH, 1) for marginal in self.marginals
        )

    def log_ratio(self, number: int, z: Tensor, context: Tensor) -> Tensor:
        """Of the marginal of this number, for its coordinates of shape (context, draw, coordinate)."""
        given = context[:, None].expand(*z.shape[:2], -1)
        return self.heads[number](torch.cat([z, given], -1))[..., 0]

    def loss(self, z: Tensor, x: Mapping[str, Tensor]) -> Tensor:
        context, total = self.context(x), torch.zeros(len(z))
        for i, marginal in enumerate(self.marginals):

            def ratio(z: Tensor, context: Tensor, i: int = i) -> Tensor:
                return self.log_ratio(i, z, context)

            total = total + contrasted(ratio, z[:, marginal], context, self.plan.num_contrasts, balanced=False)
        return total
