"""A supernova's light curve of four parameters, which several tests are about."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import bayesastro as ba


def program(time, sigma):
    amplitude = numpyro.sample("amplitude", dist.LogNormal(3.0, 0.5))
    start = numpyro.sample("start", dist.Normal(0.0, 5.0))
    rise = numpyro.sample("rise", dist.LogNormal(1.0, 0.3))
    fall = numpyro.sample("fall", dist.LogNormal(3.0, 0.3))
    phase = time - start
    mean = amplitude * jnp.exp(-phase / fall + jax.nn.log_sigmoid(phase / rise))
    numpyro.sample("flux", dist.Normal(mean, sigma).to_event(1))


def problem() -> ba.Problem:
    """Forty points, of no data yet."""
    return ba.Problem(program, np.linspace(-20.0, 60.0, 40), 1.0, observed={"flux": np.zeros(40)})
