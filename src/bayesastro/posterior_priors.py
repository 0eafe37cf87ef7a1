r"""Posteriors as priors: what one data set taught, for another; never for the same, whose data would count twice.

With the same data twice, the posterior is that of their likelihood squared: :math:`\sqrt 2` narrower where it is nearly normal, and
calibrated nowhere. That is easily done by taking the posterior of a network for an informed prior of a sampler that has the
likelihood, too; what is meant then is a proposal, which is :class:`Corrected`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float
from numpyro import handlers
from numpyro.distributions.transforms import biject_to
from sklearn.mixture import GaussianMixture

from bayesastro.labels import listed
from bayesastro.problem import Problem
from bayesastro.program import traced
from bayesastro.result import legal_name, require_one, variable_units
from bayesastro.units import require_same

__all__ = ["informed"]

FACTOR = "informed_prior"
"""Name of the factor that takes the place of the prior."""

LEAST_DRAWS = 20
"""For each coordinate and component of the mixture."""

CHUNK = 64
"""Draws that the program is run with at once."""


class Mixture(NamedTuple):
    """Normals in unconstrained coordinates.

    Parameters
    ----------
    log_weight : array, shape (c,)
    mean : array, shape (c, k)
    tril : array, shape (c, k, k)
        Cholesky factors of the covariances.
    """

    log_weight: Float[Array | np.ndarray, " c"]
    mean: Float[Array | np.ndarray, "c k"]
    tril: Float[Array | np.ndarray, "c k k"]

    def log_density(self, z: Float[Array, " k"]) -> Float[Array, ""]:
        """Of the mixture."""
        laws = dist.MultivariateNormal(jnp.asarray(self.mean), scale_tril=jnp.asarray(self.tril))
        return logsumexp(jnp.asarray(self.log_weight) + jnp.asarray(laws.log_prob(z)))


def informed(
    problem: Problem,
    result: xr.DataTree,
    *,
    names: Sequence[str] | None = None,
    max_components: int = 4,
    again: bool = False,
) -> Problem:
    """The program with a posterior in the place of its prior.

    The posterior of some parameters is described by a mixture of normals in their unconstrained coordinates, with as many
    components as the Bayesian information criterion prefers. The other parameters keep their priors.

    Parameters
    ----------
    problem : Problem
        With new data.
    result : DataTree
        Of a fit to other data, by any engine or network, whose posterior has these parameters.
    names : sequence of str, optional
        The parameters to be informed; by default all of the problem that the result has.
    max_components : int
    again : bool
        Whether data that the result has seen may be in the problem, and so count twice. Nothing that comes of this is a
        posterior; it is for showing what it does.

    Returns
    -------
    Problem
        It has a density and no simulator: its prior is a factor, ``informed_prior``.

    Raises
    ------
    ValueError
        If the result has seen an observed site of the problem with the same values, a name is not in both, draws are too few,
        the result is of several data sets, or the problem is already informed.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def program():
    ...     mean = numpyro.sample("mean", dist.Normal(0.0, 10.0))
    ...     numpyro.sample("y", dist.Normal(mean, 1.0).expand([20]).to_event(1))
    >>> first = ba.Problem(program, observed={"y": np.linspace(-1.0, 2.0, 20)})
    >>> found = ba.fit(first, ba.NUTS(num_warmup=200, num_draws=200), seed=1, progress=False)
    >>> second = ba.informed(first.replace(observed={"y": np.linspace(0.0, 1.0, 20)}), found)
    >>> both = ba.fit(second, ba.NUTS(num_warmup=200, num_draws=200), seed=2, progress=False)
    >>> bool(abs(float(both["posterior"]["mean"].std()) - 40**-0.5) < 0.03)
    True
    """
    require_one(result)
    if not again:
        _require_new_data(problem, result)
    if FACTOR in problem.prior_factors:
        raise ValueError("The problem is already informed. Inform the original one by a result of its posterior.")
    known = {site.name for site in problem.parameters if legal_name(site.name) in result["posterior"].data_vars}
    chosen = [site.name for site in problem.parameters if site.name in known] if names is None else list(names)
    if not chosen or not known.issuperset(chosen):
        missing = sorted(set(chosen) - known) or ["any parameter"]
        raise ValueError(
            f"`informed` needs parameters that problem and result both have, {listed(sorted(known))}, but not {listed(missing)}."
        )
    mixture = _mixture(_coordinates(problem, result, chosen), max_components)
    args, kwargs = problem.static_program.arguments(problem.data.arrays)
    sites = {site.name for site in problem.views().structure.sites}
    return Problem(
        _program,
        mixture,
        *args,
        program_=problem.program,
        names_=tuple(chosen),
        observed=problem.observed,
        prior_factors=(*problem.prior_factors, FACTOR),
        units={name: unit for name, unit in problem.units.items() if name in sites},
        **kwargs,
    )


def _program(mixture: Mixture, *args: Any, program_: Any, names_: tuple[str, ...], **kwargs: Any) -> Any:
    """A program, and a factor that turns the priors of some sites into the mixture."""
    with handlers.trace() as sites:
        value = program_(*args, **kwargs)
    z, log_volume = _unconstrained(sites, names_)
    # From the density of coordinates to that of values, in whose place the prior's was.
    log_prior = sum(jnp.sum(sites[name]["fn"].log_prob(sites[name]["value"])) for name in names_)
    numpyro.factor(FACTOR, mixture.log_density(z) - log_volume - log_prior)
    return value


def _unconstrained(sites: Mapping[str, Any], names: Sequence[str]) -> tuple[Float[Array, " k"], Float[Array, ""]]:
    """Coordinates of some sites of a trace, and the logarithm of the volume of values that theirs is mapped to."""
    parts, log_volume = [], jnp.zeros(())
    for name in names:
        transform, theta = biject_to(sites[name]["fn"].support), sites[name]["value"]
        z = transform.inv(theta)
        parts.append(jnp.ravel(z))
        log_volume = log_volume + jnp.sum(transform.log_abs_det_jacobian(z, theta))
    return jnp.concatenate(parts), log_volume


def _require_new_data(problem: Problem, result: xr.DataTree) -> None:
    seen = result["observed_data"].to_dataset() if "observed_data" in result.children else xr.Dataset()
    same = [
        name
        for name, values in problem.observed.items()
        if legal_name(name) in seen and np.array_equal(seen[legal_name(name)].values, values, equal_nan=True)
    ]
    if same:
        raise ValueError(
            f"The result has been found from the same {listed([f'`{name}`' for name in same])} that the problem has: as a prior it "
            "would count these data twice, and the posterior come out narrower than it is, by a factor of up to √2. Give the "
            "problem data that the result has not seen; to correct a network's posterior by the likelihood use `Corrected`."
        )


def _coordinates(problem: Problem, result: xr.DataTree, names: Sequence[str]) -> Float[np.ndarray, "s k"]:
    """Draws in the unconstrained coordinates of some parameters, by the supports that each draw gives."""
    posterior = result["posterior"].to_dataset()
    require_same(posterior, variable_units(problem), "the result")
    shapes = {site.name: site.shape for site in problem.parameters}
    draws = {n: posterior[legal_name(n)].values.reshape(-1, *shapes[n]) for n in names}

    def coordinates(theta: dict[str, Array]) -> Array:
        placed = partial(handlers.substitute, data=theta), partial(handlers.seed, rng_seed=0)
        with traced(problem.static_program, problem.data, *placed) as sites:
            return _unconstrained(sites, names)[0]

    with jax.enable_x64(True):
        return np.asarray(jax.lax.map(coordinates, {n: jnp.asarray(v) for n, v in draws.items()}, batch_size=CHUNK))


def _mixture(z: Float[np.ndarray, "s k"], max_components: int) -> Mixture:
    size = z.shape[1]
    most = min(max_components, len(z) // (LEAST_DRAWS * size))
    if most < 1 or not np.isfinite(z).all():
        raise ValueError(
            f"`informed` needs {LEAST_DRAWS} finite draws for each of {size} coordinates, but the result has {len(z)}. Draw more."
        )
    fits = [GaussianMixture(number, random_state=0).fit(z) for number in range(1, most + 1)]
    best: Any = min(fits, key=lambda fit: fit.bic(z))
    return Mixture(np.log(best.weights_), best.means_, np.linalg.cholesky(best.covariances_))
