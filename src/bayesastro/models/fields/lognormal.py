r"""A log-normal field seen with little noise: its parameters from all pixels, or from their two-point correlations.

The field of Leclercq & Heavens, a benchmark of inference from whole fields:

.. math:: g \sim N(0, \xi), \quad \xi(r) = e^{-r^2 / 4\beta^2}, \quad
    f = \frac{e^{\alpha g - \alpha^2 / 2} - 1}{\alpha}, \quad y \sim N(f, \sigma^2)

For small α the field is Gaussian; at α = 1 most of what it tells of (α, β) is not in its correlation function.

The noise is a hundredth of the field's scatter, and pins every pixel down better than the prior does. NUTS and MCLMC then
count the field from the data, in units of the noise. As the covariance is a product of one along rows and one along columns, a density costs products of matrices as large as a
side, not as the image.

References
----------
Leclercq & Heavens 2021, MNRAS 506, L85 (arXiv:2103.04158), equations 1-6.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from bayesastro.problem import Problem

__all__ = ["build", "checked_bounds", "checked_image", "correlation_factor", "lognormal_field", "program"]

JITTER = 1e-10
"""Added to the diagonals of correlations."""


def correlation_factor(beta: Float[ArrayLike, ""], size: int) -> Float[Array, "n n"]:
    r"""Lower Cholesky factor of :math:`e^{-r^2 / 4\beta^2}` between pixels in a row, at unit distance."""
    place = jnp.arange(size, dtype=jnp.result_type(float))
    squared = jnp.square(place[:, None] - place)
    return jnp.linalg.cholesky(jnp.exp(-squared / (4.0 * jnp.square(beta))) + JITTER * jnp.eye(size))


IMAGE = constraints.independent(constraints.real, 2)


class _Correlated(Transform):
    """White noise on a grid to a field of correlations along rows and along columns."""

    domain = codomain = IMAGE  # type: ignore[assignment]

    def __init__(self, rows: Array, columns: Array) -> None:
        self.rows, self.columns = rows, columns

    def __call__(self, x: Array) -> Array:
        return self.rows @ x @ self.columns.T

    def _inverse(self, y: Array) -> Array:
        half = solve_triangular(self.rows, y, lower=True)
        return jnp.swapaxes(solve_triangular(self.columns, jnp.swapaxes(half, -1, -2), lower=True), -1, -2)

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: object = None) -> Array:
        logs = [jnp.sum(jnp.log(jnp.diagonal(factor))) for factor in (self.rows, self.columns)]
        return y.shape[-1] * logs[0] + y.shape[-2] * logs[1]

    def tree_flatten(self) -> tuple:
        return (self.rows, self.columns), (("rows", "columns"), {})


class _LogNormal(Transform):
    """A field of unit variance to the log-normal one.

    There is none at or below −1/α, and the density falls to 0 smoothly there: coordinates need no bound.
    """

    domain = codomain = IMAGE  # type: ignore[assignment]

    def __init__(self, alpha: Array) -> None:
        self.alpha = alpha

    def __call__(self, x: Array) -> Array:
        return jnp.expm1(self.alpha * x - 0.5 * jnp.square(self.alpha)) / self.alpha

    def _inverse(self, y: Array) -> Array:
        return jnp.log(self._inside(y)) / self.alpha + 0.5 * self.alpha

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: object = None) -> Array:
        is_inside = jnp.all(1.0 + self.alpha * y > 0, axis=(-2, -1))
        return jnp.where(is_inside, jnp.sum(jnp.log(self._inside(y)), axis=(-2, -1)), jnp.inf)

    def tree_flatten(self) -> tuple:
        return (self.alpha,), (("alpha",), {})

    def _inside(self, y: Array) -> Array:
        inside = 1.0 + self.alpha * y
        return jnp.where(inside > 0, inside, 1.0)


def lognormal_field(
    alpha: Float[ArrayLike, ""], beta: Float[ArrayLike, ""], shape: tuple[int, int]
) -> dist.Distribution:
    """The field on a grid of pixels at unit distance.

    Parameters
    ----------
    alpha : scalar
        Above 0.
    beta : scalar
        Correlation length, in pixels.
    shape : (int, int)

    References
    ----------
    Leclercq & Heavens 2021, arXiv:2103.04158, equations 1 and 2.
    """
    factors = _Correlated(*(correlation_factor(beta, n) for n in shape))
    white = dist.Normal(0.0, 1.0).expand(list(shape)).to_event(2)
    return dist.TransformedDistribution(white, [factors, _LogNormal(jnp.asarray(alpha))])


def program(
    sigma: Float[Array, ""], shape: tuple[int, int], alpha: Float[Array, " 2"], beta: Float[Array, " 2"]
) -> None:
    """Field and noise.

    Sites: ``alpha`` and ``beta``, uniform, and ``field``. Observed: ``y``.

    Parameters
    ----------
    sigma : scalar
        Standard deviation of the noise.
    shape : (int, int)
    alpha, beta : arrays, shape (2,)
        Bounds of their priors.
    """
    a = jnp.asarray(numpyro.sample("alpha", dist.Uniform(alpha[0], alpha[1])))
    b = jnp.asarray(numpyro.sample("beta", dist.Uniform(beta[0], beta[1])))
    field = numpyro.sample("field", lognormal_field(a, b, shape), infer={"centred_on": ("y", sigma)})
    numpyro.sample("y", dist.Normal(field, sigma).to_event(2))


def build(
    y: ArrayLike,
    sigma: float = 0.01,
    *,
    alpha: tuple[float, float] = (0.0, 2.0),
    beta: tuple[float, float] = (0.2, 0.8),
) -> Problem:
    """The program with a field that was seen.

    Parameters
    ----------
    y : array, shape (ny, nx)
    sigma : float
        Standard deviation of the noise.
    alpha, beta : (float, float)
        Bounds of the uniform priors; β in pixels.

    Raises
    ------
    ValueError
        If `y` is no image of finite numbers, `sigma` is not positive, or bounds are not as they should be.
    """
    image, bounds = checked_image(y, sigma), checked_bounds(alpha, beta)
    return Problem(program, sigma=np.asarray(float(sigma)), shape=image.shape, **bounds, observed={"y": image})


def checked_image(y: ArrayLike, sigma: float) -> Float[np.ndarray, "ny nx"]:
    """A field that was seen.

    Raises
    ------
    ValueError
        If it is no image of finite numbers, or the noise `sigma` is not positive.
    """
    image = np.asarray(y, float)
    if image.ndim != 2 or not np.isfinite(image).all():
        raise ValueError(f"`y` must be an image of finite numbers, but an array of shape {image.shape} came.")
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"`sigma` must be positive, but {sigma} came.")
    return image


def checked_bounds(alpha: tuple[float, float], beta: tuple[float, float]) -> dict[str, Any]:
    """Bounds of the priors, by name of the program's arguments.

    Raises
    ------
    ValueError
        If they do not rise, or are below 0.
    """
    for name, (low, high) in (("alpha", alpha), ("beta", beta)):
        if not 0 <= low < high:
            raise ValueError(f"`{name}` must be two bounds that rise from 0 or more, but {(low, high)} came.")
    return {"alpha": np.asarray(alpha, float), "beta": np.asarray(beta, float)}
