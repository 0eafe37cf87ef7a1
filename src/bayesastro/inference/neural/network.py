"""The whole network: an embedding for each observed site, what joins them, and the conditional density."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bayesastro.inference.neural.densities import FLOWS
from bayesastro.inference.neural.density import Density
from bayesastro.inference.neural.embeddings import Embedding, SetEmbedding, embedding_of
from bayesastro.inference.neural.layers import BayesianLinear, HeldDropout, Prepared

__all__ = ["Learner", "Network", "Plan", "SiteSummary"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """All that a network is built from; its weights apart.

    Parameters
    ----------
    kind : {"posterior", "likelihood", "ratio", "marginals", "classifier"}
    size : int
        Number of coordinates, or of models.
    flow : str
        A name of `FLOWS`; empty where there is no density.
    num_transforms, hidden, num_features : int
    dropout : float
    variational : bool
        Whether the layers that join the summaries are variational.
    num_contrasts : int
        Of a ratio; and `balanced`, a bool.
    marginals : tuple of tuple of int
        Coordinates of each marginal, of marginal ratios.
    fractions : sequence of float
        Of a classifier's rows, the part that each model has.
    embeddings : mapping of str to Embedding
        By observed site; those that only accompany another are not among them.
    kept : mapping of str to array of bool
        By observed site, see :class:`SiteScale`.
    masks : mapping of str to array of bool
        Entries of sets that count, where that is the same for all rows.
    arguments : mapping of str to array
        Standardised arguments of the program that accompany entries of sets.
    """

    kind: str
    size: int
    flow: str = ""
    num_transforms: int = 0
    hidden: int
    num_features: int
    dropout: float
    variational: bool = False
    num_contrasts: int = 0
    balanced: bool = False
    marginals: tuple[tuple[int, ...], ...] = ()
    fractions: Sequence[float] = ()
    embeddings: Mapping[str, Embedding]
    kept: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray]
    arguments: Mapping[str, np.ndarray]

    def described(self) -> dict[str, Any]:
        """The settings, for JSON; and see :meth:`arrays`."""
        names = ("kind", "size", "flow", "num_transforms", "hidden", "num_features", "dropout")
        names += ("variational", "num_contrasts", "balanced", "fractions")
        return {name: getattr(self, name) for name in names} | {
            "embeddings": {name: embedding.described() for name, embedding in self.embeddings.items()}
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays, under names with their kind before a slash."""
        kinds = {"kept": self.kept, "masks": self.masks, "arguments": self.arguments}
        return {f"{kind}/{name}": array for kind, named in kinds.items() for name, array in named.items()}

    @classmethod
    def of(cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Plan":
        """The plan that :meth:`described` and :meth:`arrays` told of."""
        split = [(*name.split("/", 1), array) for name, array in arrays.items()]
        kinds: dict[str, Any] = {k: {n: a for kind, n, a in split if kind == k} for k in ("kept", "masks", "arguments")}
        embeddings = {name: embedding_of(value) for name, value in described["embeddings"].items()}
        return cls(**{**described, "embeddings": embeddings, **kinds})


class Learner(nn.Module, ABC):
    """A network with what trains it; abstract.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    @abstractmethod
    def context(self, x: Mapping[str, Tensor]) -> Tensor:
        """What the network makes of standardised observed sites alone, shape (row, feature)."""

    @abstractmethod
    def loss(self, z: Tensor, x: Mapping[str, Tensor]) -> Tensor:
        """What training makes small, by row."""

    def prepare(self, rows: Callable[[], Iterable[tuple[Tensor, Mapping[str, Tensor]]]]) -> None:
        """What is found of all rows before training; by default nothing.

        Parameters
        ----------
        rows : callable
            Gives batches of standardised coordinates and observed sites.
        """

    def hold(self, seed: int | None) -> None:
        """Be, from now on, the network that the seed draws from those that dropout or variational layers stand for.

        None for their mean.
        """
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, HeldDropout | BayesianLinear):
                module.hold(generator)

    def divergence(self) -> Tensor | None:
        """Of all variational weights from their priors, in nats; None if there are none."""
        found = [module.divergence() for module in self.modules() if isinstance(module, BayesianLinear)]
        return torch.stack(found).sum() if found else None


class SiteSummary(Learner, ABC):
    """Embeddings of the observed sites, joined; abstract."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.sites = nn.ModuleList(_SiteEmbedding(plan, name) for name in plan.embeddings)
        total = plan.num_features * len(self.sites)
        linear = BayesianLinear if plan.variational else nn.Linear
        self.joined = nn.Sequential(
            linear(total, 2 * plan.num_features),
            nn.SiLU(),
            HeldDropout(2 * plan.num_features, plan.dropout),
            linear(2 * plan.num_features, plan.num_features),
        )
        self.direct = linear(total, plan.num_features)

    def prepare(self, rows: Callable[[], Iterable[tuple[Tensor, Mapping[str, Tensor]]]]) -> None:
        for site in cast(Iterable[_SiteEmbedding], self.sites):
            if isinstance(site.body, Prepared):
                site.body.prepare((z, x[site.name]) for z, x in rows())

    def context(self, x: Mapping[str, Tensor]) -> Tensor:
        """Summaries of observed sites, shape (row, feature)."""
        parts = torch.cat([site(x) for site in self.sites], -1)
        return self.direct(parts) + self.joined(parts)


class Network(SiteSummary):
    """q(z | x) of standardised coordinates and observed sites."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        make = FLOWS[plan.flow]
        self.density: Density = make(
            plan.size, plan.num_features, num_transforms=plan.num_transforms, hidden=plan.hidden
        )

    def loss(self, z: Tensor, x: Mapping[str, Tensor]) -> Tensor:
        return self.density.loss(z, self.context(x))


class _SiteEmbedding(nn.Module):
    """One site's embedding, with what accompanies its entries."""

    def __init__(self, plan: Plan, name: str) -> None:
        super().__init__()
        self.name, embedding = name, plan.embeddings[name]
        self.is_set = isinstance(embedding, SetEmbedding)
        self.features = embedding.features if isinstance(embedding, SetEmbedding) else ()
        self.mask = embedding.mask if isinstance(embedding, SetEmbedding) else None
        widths = []
        for i, feature in enumerate(self.features):
            if feature in plan.arguments:
                array = torch.from_numpy(_columns(plan.arguments[feature]).astype(np.float32))
                self.register_buffer(f"feature_{i}", array, persistent=False)
                widths.append(array.shape[-1])
            else:
                widths.append(_columns(plan.kept[feature]).shape[-1])
        fixed = plan.masks.get(name)
        self.fixed_mask: Tensor | None
        self.register_buffer("fixed_mask", None if fixed is None else torch.from_numpy(fixed), persistent=False)
        self.body = embedding.network(plan.kept[name], sum(widths), plan.num_features, plan.dropout)

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        values = x[self.name]
        if not self.is_set:
            return self.body(values)
        values = values[..., None] if values.ndim == 2 else values
        rows, number = values.shape[:2]
        companions = [values[..., :0]]
        for i, feature in enumerate(self.features):
            constant = getattr(self, f"feature_{i}", None)
            given = x[feature] if constant is None else constant.expand(rows, *constant.shape)
            companions.append(given[..., None] if given.ndim == 2 else given)
        mask = values.new_ones((rows, number), dtype=torch.bool)
        if self.fixed_mask is not None:
            mask = mask & self.fixed_mask
        if self.mask is not None and self.mask in x:
            mask = mask & (x[self.mask] > 0.5)
        return self.body(values, torch.cat(companions, -1), mask)


def _columns(array: np.ndarray) -> np.ndarray:
    """An array of entries by columns."""
    return array[:, None] if array.ndim == 1 else array
