"""Gaussian-process fields on regular grids, driven by white noise through the amplitude of their spectrum."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesastro import Problem


def amplitude(num: int, ndim: int, correlation: float = 3.0) -> np.ndarray:
    """Square root of a Matérn-like spectrum of unit variance; falls beyond `correlation` waves across the grid."""
    k = np.fft.fftfreq(num, 1 / num)
    squares = sum(np.meshgrid(*[k**2] * ndim, indexing="ij"))
    power = (1 + squares / correlation**2) ** -1.5
    return np.sqrt(power / power.mean())


def hartley(values):
    """Unitary Hartley transform, its own inverse."""
    transformed = jnp.fft.fftn(values, norm="ortho")
    return transformed.real + transformed.imag


def white(shape):
    return numpyro.sample("xi", dist.Normal(0.0, 1.0).expand(list(shape)).to_event(len(shape)))


def linear(amplitude, sigma, mask):
    """A Gaussian field seen through a mask with Gaussian noise."""
    field = numpyro.deterministic("field", hartley(amplitude * white(amplitude.shape)))
    numpyro.sample("y", dist.Normal(field, sigma).mask(mask).to_event(amplitude.ndim))


def linear_problem(num: int, *, seed: int = 1) -> Problem:
    rng, spectrum, sigma = np.random.default_rng(seed), amplitude(num, 1), 0.4
    signal = _hartley_matrix(num) @ (spectrum * rng.normal(size=num))
    mask = np.arange(num) % 5 != 0
    return Problem(linear, spectrum, np.array(sigma), mask, observed={"y": signal + sigma * rng.normal(size=num)})


def wiener_filter(problem: Problem) -> tuple[np.ndarray, np.ndarray, float]:
    """Exact mean and sd of the field of `linear_problem`, and its log-evidence."""
    spectrum, sigma, mask = problem.data.arrays
    y = problem.data.observed["y"][mask]
    transform = _hartley_matrix(spectrum.size)
    prior = transform @ np.diag(spectrum**2) @ transform.T
    of_data = prior[np.ix_(mask, mask)] + sigma**2 * np.eye(mask.sum())
    gain = np.linalg.solve(of_data, prior[mask]).T
    variance = np.diag(prior - gain @ prior[mask])
    log_evidence = -0.5 * (y @ np.linalg.solve(of_data, y) + np.linalg.slogdet(2 * np.pi * of_data)[1])
    return gain @ y, np.sqrt(variance), float(log_evidence)


def _hartley_matrix(num: int) -> np.ndarray:
    transformed = np.fft.fft(np.eye(num), norm="ortho")
    return transformed.real + transformed.imag


def poisson(amplitude, exposure):
    """Counts of a log-normal field."""
    field = numpyro.deterministic("field", 0.7 * hartley(amplitude * white(amplitude.shape)))
    numpyro.sample("counts", dist.Poisson(exposure * jnp.exp(field)).to_event(amplitude.ndim))


def poisson_problem(num: int, ndim: int, *, exposure: float = 5.0, seed: int = 1) -> Problem:
    rng, spectrum = np.random.default_rng(seed), amplitude(num, ndim)
    field = 0.7 * np.asarray(hartley(spectrum * rng.normal(size=spectrum.shape)))
    return Problem(poisson, spectrum, np.array(exposure), observed={"counts": rng.poisson(exposure * np.exp(field))})
