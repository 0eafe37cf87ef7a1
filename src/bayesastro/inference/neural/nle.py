"""`NLE`: neural likelihood estimation, a density of the data given the parameters, learnt from simulations.

Use it where the data are few and continuous, where the posterior has several modes or the prior may change, or for an
evidence without a likelihood. Drawing takes an engine, see :class:`Surrogate`.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from bayesastro.banks.bank import Bank
from bayesastro.hints import told
from bayesastro.inference.engine import Engine, require_positive
from bayesastro.inference.neural.likelihood import NeuralLikelihood
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation, standardisation_of
from bayesastro.inference.neural.surrogate import Surrogate
from bayesastro.inference.neural.trainer import Trainer
from bayesastro.inference.smc import SMC
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["NLE"]

FLOWS = ("spline", "affine", "mixture")

MAX_VALUES = 256
"""Observed values beyond which a density of all of them is out of reach of a bank."""


@dataclass(frozen=True, kw_only=True)
class NLE(Trainer):
    """Neural likelihood estimation. It has to be trained; what it is trained to, :class:`Surrogate`, is an engine.

    Parameters
    ----------
    flow : {"spline", "affine", "mixture"}
        The conditional density of all observed values together.
    num_transforms : int
        Couplings; a mixture has twice as many components.
    hidden : int
        Units of all layers.
    num_features : int
        What the layers over the parameters hand on to the density.
    engine : Engine
        That draws from the posterior.
    transforms, num_ensemble, learning_rate, weight_decay, batch_size, max_epochs, patience, validation_fraction, time_limit
        As for :class:`NPE`; the likelihoods of an ensemble are averaged.

    References
    ----------
    Papamakarios, Sterratt & Murray 2019, arXiv:1805.07226; Lueckmann et al. 2019, arXiv:1805.09294.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([3]).to_event(1))
    >>> problem = ba.Problem(program, observed={"y": np.array([0.2, 0.5, 0.1])})
    >>> bank = ba.simulate(problem, 500, seed=1, progress=False)
    >>> settings = ba.NLE(flow="affine", hidden=16, max_epochs=2, engine=ba.NUTS(num_warmup=100, num_draws=100))
    >>> surrogate = settings.train(problem, bank, seed=1, progress=False)
    >>> ba.fit(problem, surrogate, seed=1, progress=False)["posterior"]["mean"].shape
    (4, 100)
    """

    unsaved: ClassVar[tuple[str, ...]] = ("engine",)

    flow: Literal["spline", "affine", "mixture"] = "spline"
    num_transforms: int = 5
    hidden: int = 64
    num_features: int = 64
    engine: Engine = field(default_factory=SMC)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_transforms", "hidden", "num_features")
        if self.flow not in FLOWS:
            raise ValueError(f"`NLE` needs `flow` to be one of {list(FLOWS)}, but {told(self.flow)} came.")

    @asks_for("seed")
    def train(self, problem: Problem, bank: Bank, *, seed: int, progress: bool = True) -> Surrogate:
        """Learn the likelihood from a bank; see :meth:`NPE.train`.

        Raises
        ------
        ValueError
            Further, if an observed site has discrete values, or there are more than 256 of them.
        """
        seed = checked_seed(seed)
        return Surrogate(
            likelihood=NeuralLikelihood(**self._trained(problem, bank, seed, progress)), engine=self.engine
        )

    def _planned(self, problem: Problem, rows: Source) -> tuple[Standardisation, Plan]:
        for site in problem.views().structure.of_kind("observed"):
            if "integer" in site.support or "bool" in site.support:
                raise ValueError(
                    f"`NLE` learns a density, but the values of `{site.name}` are discrete ({site.support}). Use `NPE` "
                    "or `NRE`."
                )
        scale = standardisation_of(rows, self.transforms, {})
        kept = {name: site.kept for name, site in scale.sites.items()}
        number = sum(int(mask.sum()) for mask in kept.values())
        if number > MAX_VALUES:
            sizes = ", ".join(f"`{name}` {math.prod(shape)}" for name, shape in rows.shapes.items())
            raise ValueError(
                f"`NLE` learns a density of up to {MAX_VALUES} values, but {number} are observed ({sizes}). Use `NPE` or "
                "`NRE`, which summarise them."
            )
        plan = Plan(
            kind="likelihood",
            size=len(rows.labels),
            flow=self.flow,
            num_transforms=self.num_transforms,
            hidden=self.hidden,
            num_features=self.num_features,
            dropout=0.0,
            embeddings={},
            kept=kept,
            masks={},
            arguments={},
        )
        return scale, plan
