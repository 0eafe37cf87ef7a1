"""The simulated log-normal fields that Leclercq & Heavens compare inference from pixels and from correlations on.

The files are public, and are not part of the package.

References
----------
Leclercq & Heavens 2021, MNRAS 506, L85 (arXiv:2103.04158).
"""

from dataclasses import dataclass
from os import PathLike

import numpy as np
from jaxtyping import Float

__all__ = ["LognormalField", "read_lognormal_field"]

_CITATION = "Leclercq & Heavens 2021, MNRAS 506, L85 (arXiv:2103.04158)"


@dataclass(frozen=True, kw_only=True, eq=False)
class LognormalField:
    """A periodic field with noise.

    Parameters
    ----------
    y : (ny, nx) array
    posterior_mean : (ny, nx) array
        Of the field without noise, as published.
    alpha, beta : float
        The true ones: how far from normal it is, and the exponent of its correlation.
    sigma : float
        Standard deviation of the noise.
    citation : str
    """

    y: Float[np.ndarray, "ny nx"]
    posterior_mean: Float[np.ndarray, "ny nx"]
    alpha: float
    beta: float
    sigma: float
    citation: str


def read_lognormal_field(path: str | PathLike[str]) -> LognormalField:
    """One of the published fields with α = 1, β = 0.5 and a noise of 0.01.

    Parameters
    ----------
    path : path
        Of ``Data20_05_10_80_80_500_80_1_123456_da_fields_0.npz``, or of another number than 0.

    Raises
    ------
    FileNotFoundError
    ValueError
        If an array is missing.
    """
    with np.load(path, allow_pickle=False) as file:
        if missing := [name for name in ("data", "posterior_mean") if name not in file]:
            raise ValueError(f"`{path}` needs the arrays `data` and `posterior_mean`, but {missing} are missing.")
        y, mean = file["data"], file["posterior_mean"]
    return LognormalField(y=y, posterior_mean=mean, alpha=1.0, beta=0.5, sigma=0.01, citation=_CITATION)
