r"""Images whose light has linear amplitudes, with the amplitudes integrated out.

An image d is a sum of light of known shapes with unknown amplitudes, and noise:

.. math:: d = m + \sum_k a_k s_k + \sum_j c_j b_j + n, \quad a_k, c_j \sim N(0, 1), \quad n_i \sim N(0, \sigma_i^2)

with the shapes in units of their amplitudes' prior standard deviations. Given the shapes this is a Gaussian,

.. math:: d \sim N(m, \; D + S S^T + B B^T), \quad D = \operatorname{diag} \sigma^2 ,

so that a program with this distribution at its observed site generates images, has the evidence of the program with
all its amplitudes, and has none of them among its parameters. The shapes s depend on the parameters; the shapes b are
fixed, and are made orthogonal once and for all, so that any number of them costs next to nothing.

Up to two of the amplitudes a may be known to be positive, with half-normal priors. The density is then the Gaussian's
times the probability, given the image, that Gaussian amplitudes would be positive, over that without an image, 1/2 each.

References
----------
Hogg, Price-Whelan & Leistedt (2020), arXiv:2005.14199 (the algebra);
Warren & Dye (2003), ApJ 590, 673, arXiv:astro-ph/0302587 (linear amplitudes in lens modelling).
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float
from numpyro.distributions import constraints

from bayesastro.models.lensing.positive import MOST, log_positive, positive_draw, positive_mean

__all__ = ["FixedLight", "LinearLight", "no_fixed_light", "orthogonal"]


class FixedLight(NamedTuple):
    """Fixed shapes, orthogonal and of unit length in units of the noise, zero at masked pixels."""

    shapes: Float[Array | np.ndarray, "k ny nx"]
    scale: Float[Array | np.ndarray, " k"]
    """Prior standard deviations of their amplitudes."""


def no_fixed_light(shape: tuple[int, int]) -> FixedLight:
    """No fixed shapes for images of a shape."""
    return FixedLight(np.zeros((0, *shape)), np.zeros(0))


def orthogonal(
    shapes: Float[np.ndarray, "k ny nx"], noise: Float[np.ndarray, "ny nx"], mask: Bool[np.ndarray, "ny nx"]
) -> FixedLight:
    """Fixed shapes, given with amplitudes of unit prior variance, made orthogonal in units of the noise.

    Parameters
    ----------
    shapes : array, shape (k, ny, nx)
        In the unit of the image.
    noise : array, shape (ny, nx)
        Standard deviations.
    mask : array of bool, shape (ny, nx)
        True where the image is used.
    """
    whitened = np.where(mask, shapes / noise, 0.0).reshape(len(shapes), -1)
    _, scale, rows = np.linalg.svd(whitened, full_matrices=False)
    return FixedLight(rows.reshape(-1, *noise.shape), scale)


class LinearLight(dist.Distribution):
    """An image with its linear amplitudes integrated out.

    Parameters
    ----------
    loc : array, shape (ny, nx)
        Light without linear amplitudes.
    noise : array, shape (ny, nx)
        Standard deviations, positive.
    shapes : array, shape (k, ny, nx)
        Light for amplitudes of one prior standard deviation.
    fixed : FixedLight
    mask : array of bool, shape (ny, nx)
        Pixels where it is False have no say in the density; draws have noise and `shapes` there too.
    positive : tuple of int
        Indices of at most two `shapes` whose amplitudes are positive.

    Raises
    ------
    ValueError
        If more than two are to be positive.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.independent(constraints.real, 2),
        "noise": constraints.independent(constraints.positive, 2),
        "shapes": constraints.independent(constraints.real, 3),
    }
    support: Any = constraints.independent(constraints.real, 2)
    pytree_data_fields = ("loc", "noise", "shapes", "fixed", "used")
    pytree_aux_fields = ("positive",)

    def __init__(
        self,
        loc: Array,
        noise: Array,
        shapes: Array,
        fixed: FixedLight,
        used: Array,
        positive: tuple[int, ...] = (),
        *,
        validate_args: bool | None = None,
    ) -> None:
        if len(positive) > MOST:
            raise ValueError(f"At most {MOST} amplitudes can be positive, but `positive` has {len(positive)}.")
        self.positive = positive
        self.loc, self.noise, self.shapes, self.fixed, self.used = loc, noise, shapes, fixed, used
        super().__init__((), jnp.shape(noise), validate_args=validate_args)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        keys = jax.random.split(key, 3)
        noise, shapes = jnp.asarray(self.noise), jnp.asarray(self.shapes)
        noisy = jax.random.normal(keys[0], (*sample_shape, *noise.shape), noise.dtype)
        amplitudes = jax.random.normal(keys[1], (*sample_shape, shapes.shape[0]), noise.dtype)
        is_positive = np.isin(np.arange(shapes.shape[0]), self.positive)
        amplitudes = jnp.where(is_positive, jnp.abs(amplitudes), amplitudes)
        others = self.fixed.scale * jax.random.normal(keys[2], (*sample_shape, self.fixed.scale.shape[0]), noise.dtype)
        light = jnp.tensordot(amplitudes, shapes, 1) + noise * jnp.tensordot(others, self.fixed.shapes, 1)
        return self.loc + light + noise * noisy

    def log_prob(self, value: Array) -> Array:
        weight = jnp.where(self.used, 1.0 / self.noise, 0.0)
        inner, capacitance, log_determinant = self._system(value, weight)
        solved = jax.scipy.linalg.cho_solve((capacitance, True), inner[1:, 0])
        chi2 = inner[0, 0] - inner[1:, 0] @ solved
        size = jnp.sum(self.used)
        log_noise = jnp.sum(jnp.where(self.used, jnp.log(self.noise), 0.0))
        gaussian = -0.5 * (chi2 + log_determinant + size * jnp.log(2.0 * jnp.pi)) - log_noise
        if not self.positive:
            return gaussian
        covariance = self._of_positive(capacitance)[0]
        chosen = solved[np.array(self.positive)]
        return gaussian + log_positive(chosen, covariance) + len(self.positive) * np.log(2.0)

    def amplitudes(self, value: Array, key: jax.Array | None = None) -> tuple[Array, Array]:
        """Amplitudes given an image: of `shapes`, and the image [its unit] of the fixed light; means, or draws by `key`."""
        weight = jnp.where(self.used, 1.0 / self.noise, 0.0)
        inner, capacitance, _ = self._system(value, weight)
        expected = mean = jax.scipy.linalg.cho_solve((capacitance, True), inner[1:, 0])
        keys = None if key is None else jax.random.split(key, 3)
        if keys is not None:
            white = jax.random.normal(keys[0], mean.shape, mean.dtype)
            mean = expected + jax.scipy.linalg.solve_triangular(capacitance.T, white)
        if self.positive:
            # A Gaussian draw, or the Gaussian mean, becomes one of those with positive numbers among them.
            covariance, others = self._of_positive(capacitance)
            chosen = np.array(self.positive)
            first = expected[chosen]
            found = positive_mean(first, covariance) if keys is None else positive_draw(keys[2], first, covariance)
            mean = mean + others @ jnp.linalg.solve(covariance, found - mean[chosen])
        rest = (value - self.loc - jnp.tensordot(mean, self.shapes, 1)) * weight
        shrink = self.fixed.scale**2 / (1.0 + self.fixed.scale**2)
        others = shrink * jnp.tensordot(self.fixed.shapes, rest, 2)
        if keys is not None:
            others = others + jnp.sqrt(shrink) * jax.random.normal(keys[1], others.shape, others.dtype)
        return mean, self.noise * jnp.tensordot(others, self.fixed.shapes, 1)

    def _of_positive(self, capacitance: Array) -> tuple[Array, Array]:
        """Posterior covariance of the amplitudes that are to be positive, and that of all with them; as Gaussians."""
        chosen = np.array(self.positive)
        units = jnp.eye(capacitance.shape[0], dtype=capacitance.dtype)[:, chosen]
        others = jax.scipy.linalg.cho_solve((capacitance, True), units)
        return others[chosen], others

    def _system(self, value: Array, weight: Array) -> tuple[Array, Array, Array]:
        """Products of residual and shapes with the inverse covariance of noise and fixed light; the Cholesky factor
        of 1 plus those of the shapes; log-determinant of the covariance over that of the noise."""
        vectors = jnp.concatenate([(value - self.loc)[None], self.shapes]) * weight
        flat = vectors.reshape(vectors.shape[0], -1)
        fixed = self.fixed.shapes.reshape(self.fixed.shapes.shape[0], flat.shape[1])
        power = self.fixed.scale**2
        along = jnp.matmul(flat, fixed.T, precision="highest")
        inner = jnp.matmul(flat, flat.T, precision="highest") - (along * (power / (1.0 + power))) @ along.T
        capacitance = jnp.linalg.cholesky(inner[1:, 1:] + jnp.eye(self.shapes.shape[0], dtype=inner.dtype))
        log_determinant = 2.0 * jnp.sum(jnp.log(jnp.diag(capacitance))) + jnp.sum(jnp.log1p(power))
        return inner, capacitance, log_determinant
