"""Prior families with hand-written densities: SciPy's log-densities, explicit Jacobians, maps from standard normals."""

from typing import NamedTuple

import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import transforms
from scipy import special, stats

COVARIANCE = np.array([[2.0, 0.5], [0.5, 1.0]])
COVARIANCES = COVARIANCE * np.array([1.0, 2.0, 3.0])[:, None, None]
LOC = np.array([1.0, -2.0])
MEANS = np.array([[1.0], [2.0], [3.0]])
LOWER = np.array([0.0, 1.0, 2.0])
ALPHA = np.array([1.5, 2.0, 3.5])


def real(z, theta):
    return 0.0


def exponential(z, theta):
    """θ = a ± exp z."""
    return z.sum()


def interval(low, high):
    """θ = low + (high − low) logistic z."""
    return lambda z, theta: np.sum(np.log(high - low) + special.log_expit(z) + special.log_expit(-z))


def simplex(z, theta):
    """Stick breaking, θ_k = σ_k (1 − Σ_{j<k} θ_j), σ_k = logistic(z_k − ln (K − k)): a triangular Jacobian."""
    theta = np.atleast_2d(theta)
    broken = 1.0 - np.cumsum(theta, axis=-1)
    share = theta[:, :-1] / np.concatenate([np.ones((len(theta), 1)), broken[:, :-2]], axis=-1)
    return np.sum(np.log(theta[:, :-1]) + np.log1p(-share))


def correlation_cholesky(z, theta):
    """Row by row, L_ij = t_ij √(1 − Σ_{k<j} L_ik²), t = tanh z: a triangular Jacobian."""
    rest = 1.0 - np.cumsum(theta**2, axis=-1) + theta**2
    rows, columns = np.tril_indices(3, -1)
    return np.sum(0.5 * np.log(rest[rows, columns]) + np.log1p(-(np.tanh(z) ** 2)))


def lkj_cholesky(theta, eta=2.0):
    """Lewandowski, Kurowicka & Joe (2009), equation 16, for R = L Lᵀ in three dimensions, and |∂R/∂L| = L_22²L_33."""
    log_norm = sum(
        0.5 * k * np.log(np.pi) + special.gammaln(eta + (2 - k) / 2) - special.gammaln(eta + 1) for k in (1, 2)
    )
    _, l22, l33 = np.diag(theta)
    return 2 * (eta - 1) * np.log(l22 * l33) - log_norm + np.log(l22)


def mixture(theta):
    return np.log(0.3 * stats.norm.pdf(theta) + 0.7 * stats.norm.pdf(theta, 3.0, 0.5))


def dirichlet(theta):
    return sum(stats.dirichlet(ALPHA).logpdf(row) for row in np.atleast_2d(theta))


def normals(covariances):
    def log_density(theta):
        pairs = zip(
            np.atleast_2d(theta), np.broadcast_to(covariances, (*theta.shape, 2)).reshape(-1, 2, 2), strict=True
        )
        return sum(stats.multivariate_normal(LOC, c).logpdf(row) for row, c in pairs)

    return log_density


def affine(tril):
    return lambda xi: LOC + (tril @ xi[..., None])[..., 0]


def stick_breaking(xi):
    return np.asarray(transforms.StickBreakingTransform()(xi))


class Family(NamedTuple):
    """A prior, its log-density (SciPy's distribution, or a function of θ), log-Jacobian and map from normals, if any."""

    prior: object
    reference: object
    log_jacobian: object
    white: object = True
    plates: tuple[int, ...] = ()


MIXTURE = dist.MixtureSameFamily(
    dist.Categorical(probs=np.array([0.3, 0.7])), dist.Normal(np.array([0.0, 3.0]), np.array([1.0, 0.5]))
)
NORMALS = dist.Normal(np.zeros(3), 1.0).to_event(1)
MASK = np.array([True, False, True])
TRIL = np.linalg.cholesky(COVARIANCE)

FAMILIES = {
    "normal": Family(lambda: dist.Normal(1.0, 2.0), stats.norm(1.0, 2.0), real),
    "normal_plates": Family(lambda: dist.Normal(MEANS, 2.0), stats.norm(MEANS, 2.0), real, plates=(3, 4)),
    "mvn": Family(lambda: dist.MultivariateNormal(LOC, COVARIANCE), normals(COVARIANCE), real, affine(TRIL)),
    "mvn_tril_plate": Family(
        lambda: dist.MultivariateNormal(LOC, scale_tril=TRIL), normals(COVARIANCE), real, affine(TRIL), plates=(3,)
    ),
    "mvn_batch": Family(
        lambda: dist.MultivariateNormal(LOC, COVARIANCES),
        normals(COVARIANCES),
        real,
        affine(np.linalg.cholesky(COVARIANCES)),
    ),
    "uniform": Family(lambda: dist.Uniform(LOWER, 5.0), stats.uniform(LOWER, 5.0 - LOWER), interval(LOWER, 5.0)),
    "exponential": Family(lambda: dist.Exponential(3.0), stats.expon(scale=1 / 3.0), exponential),
    "half_normal_plates": Family(lambda: dist.HalfNormal(2.0), stats.halfnorm(scale=2.0), exponential, plates=(2, 3)),
    "half_cauchy": Family(lambda: dist.HalfCauchy(2.0), stats.halfcauchy(scale=2.0), exponential),
    "cauchy": Family(lambda: dist.Cauchy(1.0, 2.0), stats.cauchy(1.0, 2.0), real),
    "laplace": Family(lambda: dist.Laplace(1.0, 2.0), stats.laplace(1.0, 2.0), real),
    "gumbel": Family(lambda: dist.Gumbel(1.0, 2.0), stats.gumbel_r(1.0, 2.0), real),
    "logistic": Family(lambda: dist.Logistic(1.0, 2.0), stats.logistic(1.0, 2.0), real),
    "student_t": Family(lambda: dist.StudentT(3.0, 1.0, 2.0), stats.t(3.0, 1.0, 2.0), real),
    "gamma_event": Family(lambda: dist.Gamma(ALPHA, 3.0).to_event(1), stats.gamma(ALPHA, scale=1 / 3.0), exponential),
    "inverse_gamma": Family(  # its map runs through that of the gamma, and so downwards
        lambda: dist.InverseGamma(3.0, 2.0),
        stats.invgamma(3.0, scale=2.0),
        exponential,
        lambda xi: stats.invgamma(3.0, scale=2.0).isf(stats.norm.cdf(xi)),
    ),
    "beta": Family(lambda: dist.Beta(2.0, 0.7), stats.beta(2.0, 0.7), interval(0.0, 1.0)),
    "truncated_normal": Family(
        lambda: dist.TruncatedNormal(1.0, 2.0, low=0.0, high=3.0),
        stats.truncnorm(-0.5, 1.0, 1.0, 2.0),
        interval(0.0, 3.0),
    ),
    "left_truncated": Family(
        lambda: dist.TruncatedNormal(1.0, 2.0, low=0.0), stats.truncnorm(-0.5, np.inf, 1.0, 2.0), exponential
    ),
    "right_truncated": Family(
        lambda: dist.TruncatedNormal(1.0, 2.0, high=0.5), stats.truncnorm(-np.inf, -0.25, 1.0, 2.0), exponential
    ),
    "log_normal": Family(lambda: dist.LogNormal(1.0, 0.5), stats.lognorm(0.5, scale=np.exp(1.0)), exponential),
    "log_normal_plates": Family(
        lambda: dist.LogNormal(MEANS, 0.5), stats.lognorm(0.5, scale=np.exp(MEANS)), exponential, plates=(3, 4)
    ),
    "log_uniform": Family(lambda: dist.LogUniform(0.1, 10.0), stats.loguniform(0.1, 10.0), interval(0.1, 10.0)),
    "pareto": Family(lambda: dist.Pareto(1.5, 3.0), stats.pareto(3.0, scale=1.5), exponential),
    "masked": Family(lambda: dist.HalfNormal(2.0).expand([3]).mask(MASK), stats.halfnorm(scale=2.0), exponential),
    "masked_event": Family(
        lambda: dist.Normal(1.0, 2.0).expand([3]).mask(MASK).to_event(1), stats.norm(1.0, 2.0), real
    ),
    "simplex": Family(
        lambda: dist.TransformedDistribution(NORMALS, transforms.StickBreakingTransform()),
        None,
        lambda z, theta: stats.norm.logpdf(z).sum(),
        stick_breaking,
    ),
    "ordered_plate": Family(
        lambda: dist.TransformedDistribution(NORMALS, transforms.OrderedTransform()),
        None,
        lambda z, theta: stats.norm.logpdf(z).sum(),
        lambda xi: np.cumsum(np.concatenate([xi[:, :1], np.exp(xi[:, 1:])], axis=1), axis=1),
        plates=(2,),
    ),
    "weibull": Family(lambda: dist.Weibull(2.0, 1.5), stats.weibull_min(1.5, scale=2.0), exponential, False),
    "kumaraswamy": Family(
        lambda: dist.Kumaraswamy(2.0, 3.0),
        lambda theta: np.log(6.0 * theta * (1.0 - theta**2) ** 2),
        interval(0.0, 1.0),
        False,
    ),
    "folded": Family(
        lambda: dist.FoldedDistribution(dist.Normal(1.0, 2.0)), stats.foldnorm(0.5, scale=2.0), exponential, False
    ),
    "dirichlet": Family(lambda: dist.Dirichlet(ALPHA), dirichlet, simplex, False),
    "dirichlet_plate": Family(lambda: dist.Dirichlet(ALPHA), dirichlet, simplex, False, plates=(2,)),
    "lkj_cholesky": Family(lambda: dist.LKJCholesky(3, 2.0), lkj_cholesky, correlation_cholesky, False),
    "von_mises": Family(lambda: dist.VonMises(1.0, 2.0), stats.vonmises(2.0, 1.0), interval(-np.pi, np.pi), False),
    "mixture": Family(lambda: MIXTURE, mixture, real, False),
}
