"""TARP: tests of accuracy with random points, which see all parameters at once.

Draw a reference θ_r that does not depend on the truth, given the data. The fraction of posterior draws nearer to θ_r
than the truth is uniform if the posterior is right; and if it is uniform for references that can be anything given the
data, the posterior is right. References without regard to the data cannot tell the posterior from the prior, so a
second set of them is an estimate of the parameters from the data, learnt on simulations of its own.

Distances are Euclidean in unconstrained coordinates, each in units of its spread within the pool.

References
----------
Lemos et al. 2023, ICML (arXiv:2302.03026).
"""

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from threadpoolctl import threadpool_limits

__all__ = ["bootstrap_band", "distances", "estimates"]

MAX_FEATURES = 50
"""Principal components of the data that the estimate is made from."""

NUM_BOOTSTRAPS = 200


def distances(values: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Distance of every member to its simulation's reference.

    Parameters
    ----------
    values : array, shape (simulation, member, coordinate)
        NaN where there is no member.
    references : array, shape (simulation, coordinate)

    Returns
    -------
    array, shape (simulation, member)
    """
    is_member = np.any(~np.isnan(values), axis=-1)
    finite = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(all="ignore"):
        spread = _nan_sd(finite)[:, None]
    far = np.where(spread > 0, (values - references[:, None]) / np.where(spread > 0, spread, 1.0), 0.0)
    far = np.where(is_member[..., None], np.nan_to_num(far, nan=1e6, posinf=1e6, neginf=1e6), np.nan)
    return np.sqrt(np.mean(far**2, axis=-1))


def _nan_sd(values: np.ndarray) -> np.ndarray:
    """Standard deviation over members, of those that are finite."""
    number = np.maximum(np.isfinite(values).sum(1), 1)
    mean = np.nansum(values, axis=1) / number
    return np.sqrt(np.nansum((values - mean[:, None]) ** 2, axis=1) / number)


def estimates(x_known: np.ndarray, z_known: np.ndarray, x: np.ndarray, seed: int) -> np.ndarray:
    """Estimates of the coordinates from data, by a small network trained on simulations.

    Parameters
    ----------
    x_known : array, shape (training simulation, datum)
    z_known : array, shape (training simulation, coordinate)
    x : array, shape (simulation, datum)
        Data to estimate from.

    Returns
    -------
    array, shape (simulation, coordinate)
    """
    # Ranks bound the features: heavy-tailed data or coordinates would leave nothing else to see.
    quantiles = min(len(x_known), 200)
    features = make_pipeline(
        QuantileTransformer(n_quantiles=quantiles, output_distribution="normal", random_state=0),
        PCA(min(MAX_FEATURES, x_known.shape[1], len(x_known) // 2), random_state=0),
        StandardScaler(),
    )
    target = QuantileTransformer(n_quantiles=quantiles, output_distribution="normal", random_state=0)
    network = MLPRegressor(hidden_layer_sizes=(64, 64), early_stopping=True, max_iter=200, random_state=seed % 2**32)
    wanted = target.fit_transform(z_known)
    with threadpool_limits(1), warnings.catch_warnings():  # matrices so small that threads only wait for each other
        warnings.simplefilter("ignore", ConvergenceWarning)  # any estimate will do
        network.fit(features.fit_transform(x_known), wanted if wanted.shape[1] > 1 else wanted[:, 0])
        found = np.asarray(network.predict(np.asarray(features.transform(x))))
    return target.inverse_transform(found.reshape(len(x), -1))


def bootstrap_band(
    pit: np.ndarray, grid: np.ndarray, random: np.random.Generator, probability: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise band of the expected coverage at the credibilities of `grid`, from resampled simulations.

    Parameters
    ----------
    pit : array, shape (simulation,)
        Fraction of draws nearer to the reference than the truth.
    grid : array, shape (place,)
    """
    chosen = random.integers(len(pit), size=(NUM_BOOTSTRAPS, len(pit)))
    curves = (pit[chosen][..., None] <= grid).mean(1)
    low, high = np.quantile(curves, [(1 - probability) / 2, (1 + probability) / 2], axis=0)
    return low, high
