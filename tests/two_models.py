"""Two Gaussian models of the same data, their banks, and the exact Bayes factor."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
from scipy.stats import multivariate_normal

import bayesastro as ba

OBSERVED = {"y": np.zeros(4)}


def narrow():
    mean = numpyro.sample("mean", dist.Normal(0.0, 0.3))
    numpyro.sample("y", dist.Normal(mean, 1.0).expand([4]).to_event(1))


def wide():
    level = numpyro.sample("level", dist.Normal(0.5, 1.5))
    numpyro.sample("y", dist.Normal(level, 1.0).expand([4]).to_event(1))


def problems():
    return {"narrow": ba.Problem(narrow, observed=OBSERVED), "wide": ba.Problem(wide, observed=OBSERVED)}


def banks(num_narrow, num_wide):
    found, numbers = problems(), {"narrow": num_narrow, "wide": num_wide}
    return {n: ba.simulate(found[n], numbers[n], seed=i, progress=False) for i, n in enumerate(numbers, 1)}


def log_bayes_factor(y):
    """log p(y | narrow) − log p(y | wide)."""
    first = multivariate_normal(np.zeros(4), 0.3**2 + np.eye(4))
    second = multivariate_normal(np.full(4, 0.5), 1.5**2 + np.eye(4))
    return first.logpdf(y) - second.logpdf(y)


class Exact:
    """The exact posterior probabilities, their log-odds stretched."""

    def __init__(self, stretch=1.0):
        self.prior, self.stretch = {"narrow": 0.5, "wide": 0.5}, stretch

    def probabilities(self, observed):
        p = 1 / (1 + np.exp(-self.stretch * log_bayes_factor(np.asarray(observed["y"]))))
        return pd.DataFrame({"wide": 1 - p, "narrow": p})
