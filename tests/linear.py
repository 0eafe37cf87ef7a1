"""A linear Gaussian program, a bank of it, and its exact posterior."""

import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy.stats import multivariate_normal

import bayesastro as ba

A = np.array([[1.0, 0.5], [0.2, 1.0], [0.3, -0.4]])
SIGMA = 0.3
Y = np.array([0.5, -0.2, 0.3])


def program(design):
    x = numpyro.sample("x", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    numpyro.sample("y", dist.Normal(design @ x, SIGMA).to_event(1))


class Linear:
    """The problem, its bank, and means and covariance of its posterior."""

    def __init__(self):
        self.problem = ba.Problem(program, A, observed={"y": Y})
        self.bank = ba.simulate(self.problem, 4000, seed=1, progress=False)
        self.covariance = np.linalg.inv(np.eye(2) + A.T @ A / SIGMA**2)

    def mean(self, y):
        return y @ (self.covariance @ A.T / SIGMA**2).T

    def log_evidence(self, y):
        return multivariate_normal(np.zeros(3), A @ A.T + SIGMA**2 * np.eye(3)).logpdf(y)
