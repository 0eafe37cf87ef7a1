"""Fisher information of the observed sites, as coordinates in which it is the identity.

A distribution p(x | θ) has the Fisher metric F = E[∂θ log p ∂θ log pᵀ]. A family enters here by a map t(θ; θ₀) with

    J_tᵀ J_t = F   at θ = θ₀.

Where one map serves every θ₀ (Poisson: 2√rate) it is an isometry to Euclidean space, and θ₀ is left unused. Where none
exists (the normal of unknown scale is a hyperbolic plane) the map is anchored at θ₀, the expansion point of a
variational approximation, as the data anchor NIFTy's `VariableCovarianceGaussian`.

References
----------
Rao 1945, Bull. Calcutta Math. Soc. 37, 81 (the metric);
Frank, Leike & Enßlin 2021, Entropy 23, 853 (arXiv:2105.10470), section 3 (coordinates of the posterior's metric).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.extend.core import Literal
from jax.scipy.special import polygamma

from bayesastro.charts import White
from bayesastro.families import mask_of, unwrapped
from bayesastro.hints import told
from bayesastro.precision import working_precision
from bayesastro.program import Data, traced
from bayesastro.quantiles import student_t_to_normal
from bayesastro.structure import Structure, abstract_data

__all__ = ["Fisher", "FisherRule", "register_fisher", "rule_of", "rules_of"]

Coordinates = Callable[[Any, Any], tuple[jax.Array, ...]]
Residual = Callable[[Any, jax.Array], jax.Array]


class FisherRule(NamedTuple):
    """What is known of a family: its coordinates, and its normalised residual."""

    coordinates: Coordinates
    residual: Residual


def pearson(fn: dist.Distribution, value: jax.Array) -> jax.Array:
    """(x − mean) / sd: of mean zero and variance one if `value` comes from `fn`."""
    return (value - fn.mean) / jnp.sqrt(fn.variance)


def register_fisher(family: type, coordinates: Coordinates, *, residual: Residual = pearson) -> None:
    """Make a family of distributions known to engines that need its Fisher metric, such as `GeoVI`.

    Parameters
    ----------
    family : type
        A class of NumPyro distributions; its subclasses are families of their own.
    coordinates : callable
        ``coordinates(fn, at)`` gives a tuple of arrays, functions of the parameters of `fn`, each of shape
        ``fn.batch_shape + (any, ...)``. The squares of their differentials at ``fn = at`` add up to the Fisher metric.
        `at` is a distribution of the same family, held fixed; an isometry has no need of it.
    residual : callable
        ``residual(fn, value)`` gives numbers of mean zero and variance one where `value` is drawn from `fn`; by
        default ``(value - fn.mean) / sqrt(fn.variance)``.

    Raises
    ------
    TypeError
        If `family` is no class of distributions.

    Examples
    --------
    The geometric distribution has the Fisher information 1 / (p² (1 − p)):

    >>> import jax.numpy as jnp, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> ba.register_fisher(dist.GeometricProbs, lambda fn, at: (2 * jnp.arctanh(jnp.sqrt(1 - fn.probs)),))
    """
    if not (isinstance(family, type) and issubclass(family, dist.Distribution)):
        raise TypeError(
            f"`register_fisher` needs a class of NumPyro distributions, but {told(family)} came. Functions such as "
            "`dist.Bernoulli` choose between classes: register each of these."
        )
    _RULES[family] = FisherRule(coordinates, residual)


def rule_of(family: type | None) -> FisherRule | None:
    """What is known of a class of distributions; None if nothing."""
    return _RULES.get(family) if family is not None else None


def rules_of(structure: Structure) -> tuple[tuple[str, FisherRule], ...]:
    """The rule of each observed site whose family has one."""
    rules = ((site.name, rule_of(site.distribution)) for site in structure.of_kind("observed"))
    return tuple((name, rule) for name, rule in rules if rule is not None)


@dataclass(frozen=True)
class Fisher:
    """Fisher coordinates of all observed sites, as functions of standard normal coordinates ξ of the latents.

    Masked entries have the coordinate zero, and coordinates that no latent moves are left out.

    Parameters
    ----------
    white : White
    rules : tuple of (str, FisherRule)
        By observed site.
    """

    white: White
    rules: tuple[tuple[str, FisherRule], ...]

    def distributions(self, xi: jax.Array, data: Data) -> dict[str, dist.Distribution]:
        """The observed sites' distributions at ξ, wrappers removed."""
        return {name: fn for name, _, fn, _, _ in self._sites(xi, data)}

    def coordinates(
        self, xi: jax.Array, data: Data, at: dict[str, dist.Distribution] | None = None
    ) -> dict[str, tuple[jax.Array, ...]]:
        """Coordinates by observed site.

        Parameters
        ----------
        xi : array, shape (size,)
        data : Data
        at : dict of str to distribution, optional
            Anchors, from `distributions`. By default those of `xi` itself, held fixed: the coordinates' Jacobian is then
            a square root of the Fisher metric at `xi`.
        """
        found = self._coordinates(xi, data, at)
        return {
            name: tuple(a for a, moves in zip(found[name], kept, strict=True) if moves) for name, kept in self._kept
        }

    def residuals(self, xi: jax.Array, data: Data) -> dict[str, tuple[jax.Array, jax.Array, jax.Array]]:
        """Sum and sum of squares over a site's normalised residuals, and their number, masked ones left out."""
        found = {}
        for name, rule, fn, value, mask in self._sites(xi, data):
            batch_ndims = len(_batch_shape(fn, value))
            residual = jnp.asarray(rule.residual(fn, value))
            residual, counts = (_masked(a, batch_ndims, mask) for a in (residual, jnp.ones_like(residual)))
            found[name] = (jnp.sum(residual), jnp.sum(residual**2), jnp.sum(counts))
        return found

    def _sites(self, xi: jax.Array, data: Data) -> Iterator[tuple[str, FisherRule, Any, jax.Array, jax.Array | None]]:
        structure = self.white.structure
        with traced(structure.program, data, *self.white.placed(xi, data)) as trace:
            for name, rule in self.rules:
                site = trace[name]
                yield name, rule, unwrapped(site["fn"]), jnp.asarray(site["value"]), mask_of(site["fn"])

    def _coordinates(
        self, xi: jax.Array, data: Data, at: dict[str, dist.Distribution] | None
    ) -> dict[str, tuple[jax.Array, ...]]:
        found = {}
        for name, rule, fn, value, mask in self._sites(xi, data):
            anchor = jax.tree.map(jax.lax.stop_gradient, fn) if at is None else at[name]
            found[name] = tuple(_widened(array, fn, value, mask) for array in rule.coordinates(fn, anchor))
        return found

    @cached_property
    def _kept(self) -> tuple[tuple[str, tuple[bool, ...]], ...]:
        """For each site, which of its coordinates depend on ξ at all."""
        structure = self.white.structure

        def from_two(xi: jax.Array, fixed: jax.Array, data: Data) -> dict[str, tuple[jax.Array, ...]]:
            return self._coordinates(xi, data, self.distributions(fixed, data))

        with working_precision(structure.precision):
            xi = jax.ShapeDtypeStruct((self.white.size,), jnp.zeros(()).dtype)
            jaxpr, shapes = jax.make_jaxpr(from_two, return_shape=True)(xi, xi, abstract_data(structure.avals))
        moved = _depend(jaxpr.jaxpr, [True] + [False] * (len(jaxpr.jaxpr.invars) - 1))
        return tuple(jax.tree.unflatten(jax.tree.structure(shapes), moved).items())


def _depend(jaxpr: Any, inputs: list[bool]) -> list[bool]:
    """Which outputs of a jaxpr depend on the marked inputs; a loop or branch as a whole."""
    marked = {v for v, mark in zip(jaxpr.invars, inputs, strict=True) if mark}
    for equation in jaxpr.eqns:
        marks = [not isinstance(v, Literal) and v in marked for v in equation.invars]
        if equation.primitive.name in ("jit", "pjit"):
            outputs = _depend(equation.params["jaxpr"].jaxpr, marks)
        else:
            outputs = [any(marks)] * len(equation.outvars)
        marked |= {v for v, mark in zip(equation.outvars, outputs, strict=True) if mark}
    return [not isinstance(v, Literal) and v in marked for v in jaxpr.outvars]


def _batch_shape(fn: dist.Distribution, value: jax.Array) -> tuple[int, ...]:
    """Batch shape of the entries observed, over which plates and `expand` may repeat `fn`."""
    return jnp.broadcast_shapes(value.shape[: value.ndim - len(fn.event_shape)], fn.batch_shape)


def _widened(array: Any, fn: dist.Distribution, value: jax.Array, mask: jax.Array | None) -> jax.Array:
    """An array of shape ``fn.batch_shape + rest`` repeated over the entries observed, zero where masked."""
    array = jnp.asarray(array)  # a parameter may be a Python number
    rest, batch = array.shape[len(fn.batch_shape) :], _batch_shape(fn, value)
    return _masked(jnp.broadcast_to(array, batch + rest), len(batch), mask)


def _masked(array: jax.Array, batch_ndims: int, mask: jax.Array | None) -> jax.Array:
    if mask is None:
        return array
    return jnp.where(jnp.reshape(mask, mask.shape + (1,) * (array.ndim - batch_ndims)), array, 0.0)


def _normal(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """ds² = (dμ² + 2 dσ²) / σ². With μ₀ in it, σ widens the first coordinate as it widens the posterior of μ."""
    return (fn.loc - at.loc) / fn.scale, jnp.sqrt(2.0) * jnp.log(fn.scale / at.scale)


def _multivariate_normal(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """ds² = dμᵀ Σ⁻¹ dμ + tr(Σ⁻¹ dΣ Σ⁻¹ dΣ) / 2; with Σ = L Lᵀ and W = L₀⁻¹ L the trace is 2 Σ dWᵢᵢ² + Σ_{i>j} dWᵢⱼ²."""
    size = fn.scale_tril.shape[-1]
    ratio = _solved(at.scale_tril, fn.scale_tril)
    diagonal = jnp.diagonal(ratio, axis1=-2, axis2=-1)
    below = ratio[(..., *jnp.tril_indices(size, -1))]
    return _solved(fn.scale_tril, (fn.loc - at.loc)[..., None])[..., 0], jnp.sqrt(2.0) * jnp.log(diagonal), below


def _solved(tril: jax.Array, right: jax.Array) -> jax.Array:
    batch = jnp.broadcast_shapes(tril.shape[:-2], right.shape[:-2])
    tril, right = (jnp.broadcast_to(a, batch + a.shape[-2:]) for a in (tril, right))
    return jax.scipy.linalg.solve_triangular(tril, right, lower=True)


def _student_t(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """ds² = (ν+1)/(ν+3) dμ²/σ² + 2ν/(ν+3) (dσ/σ)² − 4/((ν+1)(ν+3)) dν dσ/σ + F_νν dν², the last three by Cholesky.

    F_νν = (ψ′(ν/2) − ψ′((ν+1)/2)) / 4 − (ν+5) / (2ν(ν+1)(ν+3)): Lange, Little & Taylor 1989, JASA 84, 881, appendix.
    """
    nu = at.df
    scale, cross = 2 * nu / (nu + 3), -2 / ((nu + 1) * (nu + 3))
    shape = (polygamma(1, nu / 2) - polygamma(1, (nu + 1) / 2)) / 4 - (nu + 5) / (2 * nu * (nu + 1) * (nu + 3))
    log_scale, freedom = jnp.log(fn.scale / at.scale), fn.df - nu
    return (
        jnp.sqrt((fn.df + 1) / (fn.df + 3)) * (fn.loc - at.loc) / fn.scale,
        jnp.sqrt(scale) * log_scale + cross / jnp.sqrt(scale) * freedom,
        jnp.sqrt(shape - cross**2 / scale) * freedom,
    )


def _poisson(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """ds² = dλ² / λ."""
    return (2 * jnp.sqrt(fn.rate),)


def _arcsine(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """ds² = n dp² / (p (1 − p)), from probabilities."""
    return (2 * jnp.sqrt(_tries(fn)) * jnp.arcsin(jnp.sqrt(fn.probs)),)


def _gudermann(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """The same from logits l: 2 arcsin √p = π/2 + 2 arctan(tanh(l / 4)), which no l overflows."""
    return (2 * jnp.sqrt(_tries(fn)) * jnp.arctan(jnp.tanh(fn.logits / 4)),)


def _tries(fn: Any) -> jax.Array:
    return jnp.asarray(getattr(fn, "total_count", 1), float)


def _exponential(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """ds² = (dλ / λ)²."""
    return (jnp.log(fn.rate),)


def _gamma(fn: Any, at: Any) -> tuple[jax.Array, ...]:
    """ds² = α (dm / m)² + (ψ′(α) − 1/α) dα² with the mean m = α / β, which is orthogonal to α."""
    alpha = at.concentration
    log_mean = jnp.log(fn.concentration / fn.rate) - jnp.log(alpha / at.rate)
    shape = alpha * jnp.sqrt(polygamma(1, alpha) - 1 / alpha)
    return jnp.sqrt(fn.concentration) * log_mean, shape * jnp.log(fn.concentration / alpha)


def _whitened(fn: Any, value: jax.Array) -> jax.Array:
    return _solved(fn.scale_tril, (value - fn.loc)[..., None])[..., 0]


def _normal_score(fn: Any, value: jax.Array) -> jax.Array:
    """Φ⁻¹(F(x)): a Student t may have no variance."""
    return student_t_to_normal((value - fn.loc) / fn.scale, fn.df)


def _of_logarithm(fn: Any, value: jax.Array) -> jax.Array:
    return (jnp.log(value) - fn.loc) / fn.scale


_RULES: dict[type, FisherRule] = {
    dist.Normal: FisherRule(_normal, pearson),
    dist.LogNormal: FisherRule(_normal, _of_logarithm),
    dist.MultivariateNormal: FisherRule(_multivariate_normal, _whitened),
    dist.StudentT: FisherRule(_student_t, _normal_score),
    dist.Poisson: FisherRule(_poisson, pearson),
    dist.BernoulliProbs: FisherRule(_arcsine, pearson),
    dist.BernoulliLogits: FisherRule(_gudermann, pearson),
    dist.BinomialProbs: FisherRule(_arcsine, pearson),
    dist.BinomialLogits: FisherRule(_gudermann, pearson),
    dist.Exponential: FisherRule(_exponential, pearson),
    dist.Gamma: FisherRule(_gamma, pearson),
}
