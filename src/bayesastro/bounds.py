"""How well parameters can be known at best: Cramér–Rao bounds, from one Jacobian.

References
----------
Rao 1945, Bull. Calcutta Math. Soc. 37, 81; Van Trees 1968, Detection, Estimation, and Modulation Theory, section 2.4 (with a
prior); Ting et al. 2017, ApJ 843, 32 (arXiv:1706.09921) (labels of stars from spectra).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree

from bayesastro import refusals
from bayesastro.labels import labels_of, listed
from bayesastro.precision import working_precision
from bayesastro.problem import Problem
from bayesastro.program import Data
from bayesastro.views import Views

__all__ = ["cramer_rao"]

NEGLIGIBLE = 1e-12
"""Of the largest eigenvalue of the information: directions with less are ones that data do not tell of."""


def cramer_rao(problem: Problem, theta: Mapping[str, Any], *, names: Sequence[str] | None = None) -> pd.DataFrame:
    r"""Standard deviations that no unbiased estimate from such data can go below, near given parameters.

    With the Jacobian J of the observed sites' Fisher coordinates the information is :math:`F = J^T J`, and the bound
    :math:`\sqrt{\mathrm{diag}(D F^{-1} D^T)}` with the derivatives D of the parameters. The prior adds its own information, that
    of standard normals in white coordinates. Beside the standard deviations of a posterior they show whether it is as narrow as
    data allow; how likely the actual data are does not enter.

    Parameters
    ----------
    problem : Problem
    theta : mapping of str to array
        A value for each parameter, such as the posterior's mean.
    names : sequence of str, optional
        Parameters and deterministic sites; by default all parameters.

    Returns
    -------
    pandas.DataFrame
        By scalar: ``value``; ``data``, the bound from data alone, infinite where these do not tell; and ``with_prior``.

    Raises
    ------
    ValueError
        If the Fisher metric or white coordinates are not known of the program, or a name is not one of its sites.

    Examples
    --------
    Ten measurements of a mean, with errors of 0.5:

    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     numpyro.sample("y", dist.Normal(mean, 0.5).expand([10]).to_event(1))
    >>> table = ba.cramer_rao(ba.Problem(program, observed={"y": np.zeros(10)}), {"mean": 0.3})
    >>> f"{table.loc['mean', 'data']:.4f}", f"{table.loc['mean', 'with_prior']:.4f}"
    ('0.1581', '0.1562')
    """
    for capability in ("white", "fisher"):
        if capability in problem.lacks:
            raise ValueError(
                f"`cramer_rao` needs {refusals.CAPABILITIES[capability]}, but {problem.lacks[capability]}."
            )
    views = problem.views()
    known = [*(site.name for site in problem.parameters), *views.deterministics]
    wanted = tuple(names) if names is not None else tuple(site.name for site in problem.parameters)
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"`names` has {unknown}, which are no sites of the program. There are {listed(known)}.")
    checked = refusals.checked_theta(problem.parameters, theta, 0, problem.units)
    with working_precision("double"):
        values, jacobian, derivatives = jax.device_get(_linearised(views, wanted)(checked, problem.data))
    data, with_prior = _covariances(jacobian)
    columns: dict[str, list[float]] = {"value": [], "data": [], "with_prior": []}
    labels: list[str] = []
    for name in wanted:
        value, slope = np.asarray(values[name]), np.asarray(derivatives[name]).reshape(-1, jacobian.shape[1])
        labels += labels_of([(name, value.shape)])
        columns["value"] += value.ravel().tolist()
        columns["data"] += _spread(slope, data).tolist()
        columns["with_prior"] += _spread(slope, with_prior).tolist()
    return pd.DataFrame(columns, index=pd.Index(labels, name="parameter"))


@functools.lru_cache(maxsize=16)
def _linearised(views: Views, wanted: tuple[str, ...]) -> Callable[[dict[str, Any], Data], Any]:
    """Values of the sites wanted, the Jacobian of the Fisher coordinates, and the derivatives of these sites, compiled."""

    @jax.jit
    def linearised(theta: dict[str, Any], data: Data) -> Any:
        xi = views.white.to_coordinates(theta, data)
        anchors = views.fisher.distributions(xi, data)

        def coordinates(xi: jax.Array) -> jax.Array:
            return ravel_pytree(views.fisher.coordinates(xi, data, anchors))[0]

        def sites(xi: jax.Array) -> dict[str, jax.Array]:
            found = views.white.to_parameters(xi, data, deterministics=views.deterministics)
            return {name: jnp.asarray(found[name]) for name in wanted}

        return sites(xi), jax.jacfwd(coordinates)(xi), jax.jacfwd(sites)(xi)

    return linearised


def _covariances(jacobian: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Eigenvectors and variances along them, of the data alone and with the prior of white coordinates."""
    information, vectors = np.linalg.eigh(jacobian.T @ jacobian)
    told = information > NEGLIGIBLE * max(information[-1], 0.0)
    alone = np.where(told, 1.0 / np.where(told, information, 1.0), np.inf)
    return (vectors, alone), (vectors, 1.0 / (1.0 + np.maximum(information, 0.0)))


def _spread(slope: np.ndarray, covariance: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    vectors, variance = covariance
    along = np.square(slope @ vectors)
    along[along < NEGLIGIBLE * along.sum(axis=1, keepdims=True)] = 0.0
    finite = np.isfinite(variance)
    total = along[:, finite] @ variance[finite]
    return np.sqrt(np.where((along[:, ~finite] > 0).any(axis=1), np.inf, total))
