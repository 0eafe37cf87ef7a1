"""Physics only: pure, differentiable functions of arrays.

A simulator turns physical parameters into a noiseless prediction. It is the part of
an analysis that has nothing to do with inference, and it can be used on its own, in
any JAX program.

The contract of this seam:

- A simulator is a pure function of arrays (or an `equinox.Module` that holds static
  geometry and has a pure ``__call__``). It can be passed to `jax.jit`, `jax.vmap` and
  `jax.grad`, in float32 and in float64.
- No priors, no randomness, no NumPyro. Noise, nuisance parameters and priors belong to
  the generative program, hence to `bayesastro.models` or to the user.
- It imports nothing of this package outside `bayesastro.simulators`.
- It is written for one object on one grid; batching is the caller's `jax.vmap`.
- Nothing is clamped in silence: a singular limit gets a series branch with a test, and
  input without a physical answer gives NaN.
- Every formula names its source, every argument its shape and unit.

Examples
--------
A new simulator is one file with functions like this one, the light of a source that
fades exponentially:

>>> import jax
>>> import jax.numpy as jnp
>>> def flux(time, peak, timescale):
...     return peak * jnp.exp(-time / timescale)
>>> time = jnp.array([0.0, 8.0, 16.0])
>>> [f"{value:.3f}" for value in flux(time, 2.0, 8.0)]
['2.000', '0.736', '0.271']

It is differentiable in every parameter, and batched by the caller:

>>> [f"{slope:.3f}" for slope in jax.jacfwd(flux, argnums=1)(time, 2.0, 8.0)]
['1.000', '0.368', '0.135']
>>> jax.vmap(flux, in_axes=(None, 0, None))(time, jnp.array([1.0, 2.0]), 8.0).shape
(2, 3)
"""

__all__: list[str] = []
