"""`Classifier`: posterior probabilities of models or classes given data, learnt from simulations of each.

Use it where models are to be compared for many data sets, or where their evidences cannot be computed: it needs a bank
of each model and no density. Judge what comes out with :func:`bayesastro.reliability`.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np

from bayesastro.banks.bank import Bank
from bayesastro.banks.identity import program_identity_of
from bayesastro.hints import told
from bayesastro.inference.neural.classification import NeuralClassifier, checked_prior
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.sources import Mixed, Source
from bayesastro.inference.neural.standardise import Standardisation
from bayesastro.inference.neural.summary_trainer import SummaryTrainer
from bayesastro.inference.neural.trained_classifier import TrainedClassifier
from bayesastro.inference.neural.trainer import LEAST_ROWS
from bayesastro.problem import Problem
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["Classifier"]


@dataclass(frozen=True, kw_only=True)
class Classifier(SummaryTrainer):
    """Classification as inference: the model is a discrete parameter, its posterior p(model | data) is learnt.

    Parameters
    ----------
    prior : mapping of str to float, optional
        Probability of each model; by default all are equal. How many rows the banks have does not matter to it.
    hidden : int
        Units of the layers over the summary.
    embeddings, num_features, dropout
        Of the summaries of observed sites, as for :class:`NPE`; dropout acts in training only.
    num_ensemble : int
        Networks whose probabilities are averaged. With too few simulations probabilities are too bold, of five networks
        less than of one; see :func:`bayesastro.reliability`.
    transforms, learning_rate, batch_size, max_epochs, patience, validation_fraction, time_limit
        As for :class:`NPE`.

    References
    ----------
    Radev et al. 2021, Amortized Bayesian model comparison, arXiv:2004.10629; rows in other proportions than the prior's:
    Menon et al. 2021, arXiv:2007.07314.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def flat():
    ...     numpyro.sample("level", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(0.0, 0.5).expand([3]).to_event(1))
    >>> def shifted():
    ...     level = numpyro.sample("level", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(level, 0.5).expand([3]).to_event(1))
    >>> y = np.array([2.2, 2.5, 2.1])
    >>> problems = {"flat": ba.Problem(flat, observed={"y": y}), "shifted": ba.Problem(shifted, observed={"y": y})}
    >>> banks = {name: ba.simulate(p, 500, seed=i, progress=False) for i, (name, p) in enumerate(problems.items())}
    >>> classifier = ba.Classifier(hidden=16, max_epochs=3).train(problems, banks, seed=1, progress=False)
    >>> classifier.probabilities({"y": y[None]}).shape
    (1, 2)
    """

    unsaved: ClassVar[tuple[str, ...]] = ("prior",)

    prior: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior is not None:
            checked_prior(self.prior, list(self.prior))

    @asks_for("seed")
    def train(
        self, problems: Mapping[str, Problem], banks: Mapping[str, Bank], *, seed: int, progress: bool = True
    ) -> TrainedClassifier:
        """Learn the probabilities from a bank of each model.

        Rows of all banks are read together in bounded memory. On one machine and number of threads, the same seed gives
        the same weights. Ctrl-C ends training with the best epoch so far.

        Parameters
        ----------
        problems : mapping of str to Problem
            The models, by name. All observe the same sites, with the same shapes and masks.
        banks : mapping of str to Bank
            Of each, in any number of rows.
        seed : int
        progress : bool

        Warns
        -----
        UserWarning
            If simulations failed, or entries of observed sites are the same in all rows of all banks; both are left out.

        Raises
        ------
        ValueError
            If a bank is of another program, models observe unlike sites, an argument that accompanies a site differs
            between them, there are too few rows, a setting names no site, or the loss is not finite.
        """
        seed = checked_seed(seed)
        _check(problems, banks)
        models = list(problems)
        prior = checked_prior(self.prior, models)
        self._check_companions(problems)
        for bank in banks.values():
            bank.require_whole("Classifier")
        _warn_failures(banks)
        identity = {
            "models": {name: program_identity_of(problems[name]) | {"seed": banks[name].seed} for name in models}
        }
        mixed = Mixed({name: banks[name] for name in models})
        learnt = self.learnt(problems[models[0]], mixed, identity, seed, progress)
        return TrainedClassifier(networks=NeuralClassifier(**learnt), prior=prior)

    def _check_companions(self, problems: Mapping[str, Problem]) -> None:
        """Raise if an argument that accompanies a site is not the same in all models: the network has it but once."""
        wanted = {name for embedding in self.embeddings.values() for name in embedding.companions}
        (first, reference), *others = ((model, problem.covariates) for model, problem in problems.items())
        for model, arguments in others:
            for name in sorted(wanted & {*reference, *arguments}):
                if not (name in reference and name in arguments and np.array_equal(reference[name], arguments[name])):
                    raise ValueError(
                        f"The argument `{name}`, which accompanies a site, is not the same in the models `{first}` and "
                        f"`{model}`. Give both the same values, or make it an observed site of the programs."
                    )

    def _planned(self, problem: Problem, rows: Source) -> tuple[Standardisation, Plan]:
        fractions = cast(Mixed, rows).fractions
        scale, plan = self._summarised(problem, rows, kind="classifier", fractions=fractions)
        number = len(rows.labels)
        return replace(scale, mean=np.zeros(number), sd=np.ones(number)), plan  # indicators stay what they are


def _check(problems: Mapping[str, Problem], banks: Mapping[str, Bank]) -> None:
    """Raise unless there are several models of the same observed sites, with a bank of each."""
    if not isinstance(problems, Mapping) or not isinstance(banks, Mapping):
        raise TypeError(
            f"`Classifier.train` needs mappings from names of models to problems and to banks, but {problems!r} and "
            f"{told(banks)} came."
        )
    if len(problems) < 2 or set(problems) != set(banks):
        raise ValueError(
            f"`Classifier.train` needs a problem and a bank for each of at least two models, but problems of "
            f"{list(problems)} and banks of {list(banks)} came."
        )
    for name, problem in problems.items():
        if not isinstance(problem, Problem) or not isinstance(banks[name], Bank):
            raise TypeError(
                f"The model `{name}` needs a `Problem` and a `Bank`, but {told(problem)} and {told(banks[name])} came."
            )
        try:
            banks[name].check(problem)
        except ValueError as error:
            raise ValueError(f"The model `{name}`: {error}") from None
        usable = len(banks[name]) - banks[name].num_failed
        if usable < 2 * LEAST_ROWS:
            raise ValueError(
                f"`Classifier` needs {2 * LEAST_ROWS} simulations of each model, but has {usable} of `{name}` that did "
                "not fail. Simulate more."
            )
    (first, reference), *others = banks.items()
    for name, bank in others:
        _check_sites(first, reference, name, bank)


def _check_sites(first: str, reference: Bank, name: str, bank: Bank) -> None:
    """Raise unless two models observe the same."""
    for site in {**reference.shapes, **bank.shapes}:
        shapes = [found.shapes.get(site) for found in (reference, bank)]
        told = ["does not observe it" if shape is None else f"has the shape {shape}" for shape in shapes]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"All models must observe the same sites with the same shapes, but of `{site}` the model `{first}` "
                f"{told[0]}, and `{name}` {told[1]}."
            )
        everything = np.ones(bank.shapes[site], bool)
        if not np.array_equal(reference.masks.get(site, everything), bank.masks.get(site, everything)):
            raise ValueError(
                f"The models `{first}` and `{name}` have unlike masks at `{site}`: what is missing would tell them apart. "
                "Give both the same mask."
            )


def _warn_failures(banks: Mapping[str, Bank]) -> None:
    """Warn of models of which simulations failed."""
    told = [f"{bank.num_failed} of {len(bank)} of `{name}`" for name, bank in banks.items() if bank.num_failed]
    if told:
        warnings.warn(
            f"Simulations failed and are left out: {', '.join(told)}. Models lose the probability with which they fail.",
            UserWarning,
            stacklevel=3,
        )
