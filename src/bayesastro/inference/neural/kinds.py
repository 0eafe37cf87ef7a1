"""The kinds of networks that are learnt: which class a plan is of."""

from bayesastro.inference.neural.classification import ClassifierNetwork, NeuralClassifier
from bayesastro.inference.neural.likelihood import NeuralLikelihood
from bayesastro.inference.neural.marginal_ratios import MarginalRatios
from bayesastro.inference.neural.network import Learner, Network, Plan
from bayesastro.inference.neural.posterior import NeuralPosterior
from bayesastro.inference.neural.surrogates import LikelihoodNetwork, RatioNetwork
from bayesastro.inference.neural.trained import Trained

__all__ = ["network_of", "trained_class"]

_NETWORKS: dict[str, type[Learner]] = {
    "posterior": Network,
    "likelihood": LikelihoodNetwork,
    "ratio": RatioNetwork,
    "marginals": MarginalRatios,
    "classifier": ClassifierNetwork,
}

_TRAINED: dict[str, type[Trained]] = {
    "posterior": NeuralPosterior,
    "likelihood": NeuralLikelihood,
    "ratio": NeuralLikelihood,
    "classifier": NeuralClassifier,
}


def network_of(plan: Plan) -> Learner:
    """A network of the plan's kind, with its first weights."""
    return _NETWORKS[plan.kind](plan)


def trained_class(plan: Plan) -> type[Trained]:
    """What networks of the plan's kind are used through."""
    return _TRAINED[plan.kind]
