"""Trained networks as functions of JAX, of one point, so that engines can walk along their gradients.

Each part of a network becomes its weights, a pytree of arrays, and a function of them. They compute what `densities`,
`couplings` and `splines` do on torch; a flow's couplings, brought to one shape, are scanned, so that XLA compiles one.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from torch import Tensor, nn

from bayesastro.inference.neural import couplings, splines
from bayesastro.inference.neural.densities import Mixture, NormalFlow
from bayesastro.inference.neural.surrogates import LikelihoodNetwork, RatioNetwork, SurrogateNetwork

__all__ = ["log_likelihoods_of"]

Vector = jax.Array


class _Part(NamedTuple):
    """A part of a network: its weights, and the function of these and of its arguments."""

    weights: Any
    apply: Callable[..., Any]


def log_likelihoods_of(networks: Sequence[SurrogateNetwork]) -> Callable[[Vector, jax.Array], Vector]:
    """The log-likelihoods by networks of one plan: of standardised coordinates, and contexts of shape (network, …)."""
    parts = [_network(network) for network in networks]
    weights, apply = jax.tree.map(lambda *arrays: np.stack(arrays), *(part.weights for part in parts)), parts[0].apply

    def log_likelihoods(z: Vector, contexts: jax.Array) -> Vector:
        cast = jax.tree.map(lambda array: jnp.asarray(array, z.dtype), weights)
        return jax.vmap(apply, in_axes=(0, None, 0))(cast, z, contexts)

    return log_likelihoods


def _network(network: SurrogateNetwork) -> _Part:
    if isinstance(network, RatioNetwork):
        head = _layers(network.head)
        return _Part(head.weights, lambda w, z, context: head.apply(w, jnp.concatenate([z, context]))[0])
    network = cast(LikelihoodNetwork, network)
    body, density = _layers(network.body), network.density
    density = _mixture(density) if isinstance(density, Mixture) else _normal_flow(cast(NormalFlow, density))

    def apply(w: Any, z: Vector, context: Vector) -> jax.Array:
        return density.apply(w[1], context, body.apply(w[0], z))

    return _Part((body.weights, density.weights), apply)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(float)


def _linear(module: Any) -> _Part:
    return _Part((_array(module.weight), _array(module.bias)), lambda w, x: w[0] @ x + w[1])


def _activation(module: nn.Module) -> _Part:
    function = {nn.SiLU: jax.nn.silu, nn.ReLU: jax.nn.relu}[type(module)]
    return _Part((), lambda _, x: function(x))


def _layers(module: nn.Sequential) -> _Part:
    parts = [_linear(part) if isinstance(part, nn.Linear) else _activation(part) for part in module]

    def apply(w: Any, x: Vector) -> Vector:
        for weights, part in zip(w, parts, strict=True):
            x = part.apply(weights, x)
        return x

    return _Part([part.weights for part in parts], apply)


def _normal_flow(density: NormalFlow) -> _Part:
    """log q of a value given a context."""
    normals, flow = _normals(density.normals), _flow(density.flow)

    def log_prob(w: Any, value: Vector, context: Vector) -> jax.Array:
        mean, factor, log_det = normals.apply(w[0], context)
        u, more = flow.apply(w[1], factor[0] @ (value - mean[0]), context)
        return _log_normal(u) + more + log_det[0]

    return _Part((normals.weights, flow.weights), log_prob)


def _mixture(density: Mixture) -> _Part:
    """The same of a mixture."""
    body, logits, normals = _layers(density.body), _linear(density.logits), _normals(density.normals)

    def log_prob(w: Any, value: Vector, context: Vector) -> jax.Array:
        h = body.apply(w[0], context)
        mean, factor, log_det = normals.apply(w[2], h)
        u = jnp.einsum("kij,kj->ki", factor, value - mean)
        return logsumexp(_log_normal(u) + jax.nn.log_softmax(logits.apply(w[1], h)) + log_det)

    return _Part((body.weights, logits.weights, normals.weights), log_prob)


def _log_normal(u: jax.Array) -> jax.Array:
    return -0.5 * jnp.sum(u**2, -1) - 0.5 * u.shape[-1] * jnp.log(2 * jnp.pi)


def _normals(module: Any) -> _Part:
    linear, size, number = _linear(module.linear), module.size, module.number
    row, column = np.tril_indices(size, -1)

    def apply(w: Any, context: Vector) -> tuple[jax.Array, jax.Array, jax.Array]:
        found = linear.apply(w, context).reshape(number, -1)
        mean, log_diagonal, lower = found[:, :size], 10 * jnp.tanh(found[:, size : 2 * size] / 10), found[:, 2 * size :]
        factor = jnp.broadcast_to(jnp.eye(size, dtype=found.dtype), (number, size, size))
        if module.is_full:
            factor = factor.at[:, row, column].set(lower)
        return mean, jnp.exp(log_diagonal)[..., None] * factor, log_diagonal.sum(-1)

    return _Part(linear.weights, apply)


class _Coupling(NamedTuple):
    """The weights of a coupling among all coordinates: 0 for those it keeps, which the identity then moves."""

    mixing: Any
    log_det: Any
    of_context: Any
    of_kept: Any
    middle: Any
    last: Any


def _flow(module: couplings.CouplingFlow) -> _Part:
    each = [_coupling(coupling, mixing) for coupling, mixing in module.pairs()]
    transform = _spline if module.kind == "spline" else _affine

    def apply(w: _Coupling, x: Vector, context: Vector) -> tuple[Vector, jax.Array]:
        def step(carry: tuple[Vector, jax.Array], c: _Coupling) -> tuple[tuple[Vector, jax.Array], None]:
            x, log_det = c.mixing @ carry[0], carry[1] + c.log_det
            h = jax.nn.relu(c.of_kept @ x + c.of_context[0] @ context + c.of_context[1])
            h = jax.nn.relu(c.middle[0] @ h + c.middle[1])
            parameters = jnp.reshape(c.last[0] @ h + c.last[1], (-1, len(x)))
            x, slopes = transform(parameters, x)
            return (x, log_det + slopes.sum()), None

        return jax.lax.scan(step, (x, jnp.zeros((), x.dtype)), w)[0]

    return _Part(jax.tree.map(lambda *arrays: np.stack(arrays), *each), apply)


def _coupling(module: Any, mixing: Any) -> _Coupling:
    hidden, number = module.middle.weight.shape[0], module.number
    num_moved = module.last.weight.shape[0] // number
    size = num_moved + (0 if module.of_kept is None else module.of_kept.weight.shape[1])
    kept, moved = module.parts(np.arange(size))
    of_kept, weight, bias = np.zeros((hidden, size)), np.zeros((number, size, hidden)), np.zeros((number, size))
    if module.of_kept is not None:
        of_kept[:, kept] = _array(module.of_kept.weight)
    weight[:, moved] = _array(module.last.weight).reshape(number, num_moved, hidden)
    bias[:, moved] = _array(module.last.bias).reshape(number, num_moved)
    matrix, log_det = (np.eye(size), 0.0) if mixing is None else _mixing(mixing)
    return _Coupling(
        mixing=matrix,
        log_det=np.asarray(log_det),
        of_context=_linear(module.of_context).weights,
        of_kept=of_kept,
        middle=_linear(module.middle).weights,
        last=(weight.reshape(-1, hidden), bias.ravel()),
    )


def _mixing(module: Any) -> tuple[np.ndarray, float]:
    factors = _array(module.factors)
    lower = np.tril(factors, -1) + np.eye(len(factors))
    upper = np.triu(factors, 1) + np.diag(np.exp(np.diagonal(factors)))
    return lower @ upper @ np.eye(len(factors))[module.permutation.numpy()], float(np.diagonal(factors).sum())


def _affine(parameters: jax.Array, x: Vector) -> tuple[Vector, Vector]:
    log_scale = couplings.MAX_LOG_SCALE * jnp.tanh(parameters[0] / couplings.MAX_LOG_SCALE)
    return x * jnp.exp(log_scale) + parameters[1], log_scale


def _spline(parameters: jax.Array, x: Vector) -> tuple[Vector, Vector]:
    """See :func:`bayesastro.inference.neural.splines.spline`."""
    number, bound = (len(parameters) + 1) // 3, splines.BOUND
    widths, heights = (_sizes(parameters[i * number : (i + 1) * number]) for i in (0, 1))
    knots_x, knots_y = jnp.cumsum(widths, 0), jnp.cumsum(heights, 0)
    index = jnp.sum(jax.lax.stop_gradient(x + bound >= knots_x[:-1]), 0)
    raw = jnp.pad(parameters[2 * number :], ((1, 1), (0, 0))) + splines.UNIT_SLOPE

    def at(values: jax.Array, place: jax.Array) -> Vector:
        return jnp.take_along_axis(values, place[None], 0)[0]

    width, height = at(widths, index), at(heights, index)
    left, right = (jax.nn.softplus(at(raw, index + i)) + splines.LEAST for i in (0, 1))
    mean = height / width
    place = jnp.clip((x + bound - at(knots_x, index) + width) / width, 0, 1)
    rest = place * (1 - place)
    scale = mean + (left + right - 2 * mean) * rest
    found = at(knots_y, index) - height + height * (mean * place**2 + left * rest) / scale - bound
    slope = right * place**2 + 2 * mean * rest + left * (1 - place) ** 2
    log_slope = jnp.log(slope) + 2 * (jnp.log(mean) - jnp.log(scale))
    is_inside = jnp.abs(x) < bound
    return jnp.where(is_inside, found, x), jnp.where(is_inside, log_slope, 0.0)


def _sizes(raw: jax.Array) -> jax.Array:
    return (splines.LEAST + (1 - splines.LEAST * len(raw)) * jax.nn.softmax(raw, 0)) * (2 * splines.BOUND)
