"""`NPE`: neural posterior estimation, a conditional density of the parameters given the data, learnt from simulations.

Use it where there are many data sets of one program, where a posterior is wanted within milliseconds, or where the
likelihood cannot be evaluated. Training needs a bank of simulations (:func:`bayesastro.simulate`), and no density.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from bayesastro.banks.bank import Bank
from bayesastro.hints import told
from bayesastro.inference.engine import require_positive
from bayesastro.inference.neural.amortised import Amortised
from bayesastro.inference.neural.densities import FLOWS
from bayesastro.inference.neural.network import Learner, Plan
from bayesastro.inference.neural.posterior import NeuralPosterior
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation
from bayesastro.inference.neural.summary_trainer import SummaryTrainer
from bayesastro.inference.neural.training import Minibatches, regress
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["NPE"]


@dataclass(frozen=True, kw_only=True)
class NPE(SummaryTrainer):
    """Neural posterior estimation. It has to be trained; what it is trained to, :class:`Amortised`, is an engine.

    Parameters
    ----------
    flow : {"spline", "affine", "autoregressive", "mixture", "matching"}
        The conditional density: coupling flows of splines or of affine maps, a masked autoregressive flow, a mixture
        of normals, flow matching. Splines are the most flexible of those that draw fast.
    num_transforms : int
        Couplings, or layers; a mixture has twice as many components.
    hidden : int
        Units of the density's layers.
    embeddings : mapping of str to Embedding
        Networks that summarise observed sites, by site; by default `ResNet` for square images and `Dense` for all else.
    transforms : mapping of str to {"none", "asinh", "sqrt", "log"}
        Of observed sites, before they are standardised; for values over many decades. A square root, linear below the
        median of their absolute values, makes the noise of photons even.
    num_features : int, optional
        Length of a site's summary; by default 32, or twice the number of coordinates if that is more.
    num_ensemble : int
        Networks that are trained from different starts and splits; they stand for what training does not know. Five
        give better posteriors and a measure of how sure they are.
    dropout : float
        Probability with which a unit of the summaries is left out, in training and (Monte Carlo dropout) in drawing.
    variational : bool
        Whether the layers that join the summaries have a posterior over their weights, learnt along; draws are then of
        many networks, as of an ensemble.
    regression_epochs : int
        In which the summaries first learn the parameters' means, by least squares. For posteriors of which some parameters are
        known a hundred times better than others: these alone would be learnt else.
    learning_rate, weight_decay : float
        Of AdamW. Decay of 0.3 is worth a try where the training loss falls well below that of validation.
    decay : {"plateau", "cosine"}
        Of the learning rate: halved where the validation loss no longer improves, or along half a cosine over `max_epochs`,
        which gets the most out of few epochs.
    batch_size : int, optional
        By default about 75 batches make an epoch, of 64 to 2048 rows each.
    max_epochs : int
    patience : int
        Epochs without a better validation loss after which training ends; the best epoch is kept.
    validation_fraction : float
    time_limit : float, optional
        Seconds, over all networks.
    cache_bytes : int
        A bank of which the standardised rows need no more is kept in memory; of another, rows are read again in each
        epoch. 2³¹ holds 50,000 images of 100 × 100 pixels.
    num_chains, num_draws : int
        Of the engine.

    References
    ----------
    Greenberg, Nonnenmacher & Macke 2019, arXiv:1905.07488. Splines: Durkan et al. 2019, arXiv:1906.04032. Affine
    couplings: Radev et al. 2020, arXiv:2003.06281. Masked autoregressive: Papamakarios et al. 2017, arXiv:1705.07057.
    Mixtures: Papamakarios & Murray 2016, arXiv:1605.06376. Flow matching: Wildberger et al. 2023, arXiv:2305.17161.
    Ensembles: Hermans et al. 2022, arXiv:2110.06581. Dropout: Gal & Ghahramani 2016, arXiv:1506.02142.
    Variational weights: Blundell et al. 2015, arXiv:1505.05424.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([3]).to_event(1))
    >>> problem = ba.Problem(program, observed={"y": np.array([0.2, 0.5, 0.1])})
    >>> bank = ba.simulate(problem, 500, seed=1, progress=False)
    >>> amortised = ba.NPE(flow="affine", max_epochs=2).train(problem, bank, seed=1, progress=False)
    >>> ba.fit(problem, amortised, seed=1, progress=False)["posterior"]["mean"].shape
    (4, 500)
    """

    unsaved: ClassVar[tuple[str, ...]] = ("num_chains", "num_draws")

    flow: Literal["spline", "affine", "autoregressive", "mixture", "matching"] = "spline"
    num_transforms: int = 5
    variational: bool = False
    regression_epochs: int = 0
    num_chains: int = 4
    num_draws: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_transforms", "num_chains", "num_draws")
        if not isinstance(self.regression_epochs, int) or self.regression_epochs < 0:
            raise ValueError(f"`NPE` needs `regression_epochs` of at least 0, but {told(self.regression_epochs)} came.")
        if self.flow not in FLOWS:
            raise ValueError(f"`NPE` needs `flow` to be one of {list(FLOWS)}, but {told(self.flow)} came.")

    @asks_for("seed")
    def train(self, problem: Problem, bank: Bank, *, seed: int, progress: bool = True) -> Amortised:
        """Learn the posterior from a bank.

        Rows are read in bounded memory. On one machine and number of threads, the same seed gives the same weights.
        Ctrl-C ends training with the best epoch so far.

        Parameters
        ----------
        problem : Problem
            The bank's program.
        bank : Bank
        seed : int
        progress : bool

        Returns
        -------
        Amortised

        Warns
        -----
        UserWarning
            If simulations failed, or entries of observed sites are the same in all rows; both are left out.

        Raises
        ------
        ValueError
            If the bank is of another program or argument, has too few rows, a setting names no site, or the loss is
            not finite.
        """
        seed = checked_seed(seed)
        if isinstance(bank, Bank):
            bank.require_whole("NPE")
        posterior = NeuralPosterior(**self._trained(problem, bank, seed, progress))
        return Amortised(posterior=posterior, num_chains=self.num_chains, num_draws=self.num_draws)

    def _begin(self, network: Learner, rows: Minibatches, seed: int) -> None:
        if self.regression_epochs:
            schedule = replace(self._schedule(rows.number, None, 1), max_epochs=self.regression_epochs, decay="cosine")
            regress(network, rows, schedule, seed=seed)

    def _planned(self, problem: Problem, rows: Source) -> tuple[Standardisation, Plan]:
        return self._summarised(
            problem,
            rows,
            kind="posterior",
            flow=self.flow,
            num_transforms=self.num_transforms,
            variational=bool(self.variational),
        )
