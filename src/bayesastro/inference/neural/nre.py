"""`NRE`: neural ratio estimation, a likelihood-to-evidence ratio, learnt by telling true pairs from false ones.

Use it where the data need a summary (images, sets) and the posterior may have several modes, or, balanced, where a
posterior too wide is better than one too narrow. Drawing takes an engine, see :class:`Surrogate`. For marginals of many
parameters near one data set there is :class:`TMNRE`.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from bayesastro.banks.bank import Bank
from bayesastro.inference.engine import Engine, require_positive
from bayesastro.inference.neural.likelihood import NeuralLikelihood
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation
from bayesastro.inference.neural.summary_trainer import SummaryTrainer
from bayesastro.inference.neural.surrogate import Surrogate
from bayesastro.inference.smc import SMC
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["NRE"]


@dataclass(frozen=True, kw_only=True)
class NRE(SummaryTrainer):
    """Neural ratio estimation. It has to be trained; what it is trained to, :class:`Surrogate`, is an engine.

    Parameters
    ----------
    num_contrasts : int
        Parameters of other simulations that the true ones are told from.
    balanced : bool
        Balanced ratios: conservative ones, whose posteriors are rather too wide. Then `num_contrasts` is 1.
    hidden : int
        Units of the layers over parameters and summary.
    embeddings, num_features, dropout
        Of the summaries of observed sites, as for :class:`NPE`; dropout acts in training only.
    engine : Engine
        That draws from the posterior.
    transforms, num_ensemble, learning_rate, weight_decay, batch_size, max_epochs, patience, validation_fraction, time_limit
        As for :class:`NPE`; the ratios of an ensemble are averaged.

    References
    ----------
    Hermans, Begy & Louppe 2020, arXiv:1903.04057; Miller, Weniger & Forré 2022, arXiv:2210.06170 (several contrasts);
    Delaunoy et al. 2022, arXiv:2208.13624 (balance).

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([3]).to_event(1))
    >>> problem = ba.Problem(program, observed={"y": np.array([0.2, 0.5, 0.1])})
    >>> bank = ba.simulate(problem, 500, seed=1, progress=False)
    >>> settings = ba.NRE(hidden=16, max_epochs=2, engine=ba.NUTS(num_warmup=100, num_draws=100))
    >>> surrogate = settings.train(problem, bank, seed=1, progress=False)
    >>> ba.fit(problem, surrogate, seed=1, progress=False)["posterior"]["mean"].shape
    (4, 100)
    """

    unsaved: ClassVar[tuple[str, ...]] = ("engine",)

    num_contrasts: int = 10
    balanced: bool = False
    hidden: int = 128
    engine: Engine = field(default_factory=SMC)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_contrasts")

    @asks_for("seed")
    def train(self, problem: Problem, bank: Bank, *, seed: int, progress: bool = True) -> Surrogate:
        """Learn the ratio from a bank; see :meth:`NPE.train`."""
        seed = checked_seed(seed)
        return Surrogate(
            likelihood=NeuralLikelihood(**self._trained(problem, bank, seed, progress)), engine=self.engine
        )

    def _planned(self, problem: Problem, rows: Source) -> tuple[Standardisation, Plan]:
        return self._summarised(
            problem,
            rows,
            kind="ratio",
            num_contrasts=1 if self.balanced else self.num_contrasts,
            balanced=self.balanced,
        )
