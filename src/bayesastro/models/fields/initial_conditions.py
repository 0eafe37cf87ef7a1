r"""Galaxies in a periodic box: the initial conditions, cosmology and bias that made them.

White noise ξ, one standard normal for each mode of the mesh, gives the linear density today,
:math:`\delta_k = \sqrt{P(k; \Omega_m, \sigma_8) / V} \, \xi_k`; gravity, to second order or by a particle mesh, bias in
Lagrangian space and redshifts give the density of galaxies, which is seen with the noise of their number:

.. math:: d \sim N\bigl(1 + \delta_g(\xi, \Omega_m, \sigma_8, b), \; 1 / \bar n \, v\bigr)

of :math:`\bar n` galaxies per volume in cells of volume v.

Coordinates
-----------
In linear theory :math:`\delta_g = \beta \delta`, with Kaiser's :math:`\beta = D_1 (1 + b_1 + f \mu^2)`, the posterior of a mode
at given cosmology and bias is normal, of variance and mean

.. math:: s^2 = \frac{1}{1 + \bar n \beta^2 P}, \qquad m = s^2 \bar n \beta \sqrt{P V} \, (d - 1)_k .

NUTS and MCLMC walk in :math:`z = (\xi - m) / s`, which are then nearly standard normals that do not depend on cosmology
and bias: large scales, which the galaxies pin down, and small ones, which they do not, ask for the same step. With
``coordinates="scaled"`` they walk in :math:`\xi / s`, as Simon-Onfroy et al. do, and with ``"white"`` in ξ.

References
----------
Simon-Onfroy, Lanusse & de Mattia 2025 (arXiv:2504.20130), whose default model and priors these are; Kaiser 1987, MNRAS 227, 1.
"""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from bayesastro.problem import Problem
from bayesastro.simulators.cosmology.matter_power import linear_power
from bayesastro.simulators.fields.displacement import from_modes
from bayesastro.simulators.fields.galaxies import Bias, galaxy_density, kaiser_boost
from bayesastro.simulators.fields.grids import RegularGrid, regular_grid

__all__ = ["PRIORS", "build", "density_of_counts", "initial_density", "mode_amplitude", "program"]

PRIORS: Mapping[str, tuple[float, float]] = {
    "Omega_m": (0.3111, 0.5),
    "sigma8": (0.8102, 0.5),
    "b1": (1.0, 0.5),
    "b2": (0.0, 2.0),
    "bs2": (0.0, 2.0),
    "bn2": (0.0, 2.0),
}
"""Means and standard deviations of normal priors, those of Ω_m and σ₈ cut at `BOUNDS`; ``bn2`` in (Mpc/h)²."""

BOUNDS: Mapping[str, tuple[float, float]] = {"Omega_m": (0.05, 1.0), "sigma8": (0.0, np.inf)}

Coordinates = Literal["centred", "scaled", "white"]


def mode_amplitude(
    grid: RegularGrid, Omega_m: Float[ArrayLike, ""], sigma8: Float[ArrayLike, ""], matter: Mapping[str, Any]
) -> Float[Array, "nx ny nz"]:
    """Standard deviation of each mode of the linear density today.

    Parameters
    ----------
    grid : RegularGrid
        With distances in Mpc/h.
    Omega_m, sigma8 : scalar
    matter : mapping
        ``h``, ``Omega_b`` and ``n_s``.
    """
    k = 2.0 * jnp.pi * jnp.asarray(grid.mode_length)[1:]
    power = linear_power(k, 1.0, Omega_m, **matter)
    # The root of a power that is 0 has no gradient: that of no wave is put in beside the others.
    amplitude = jnp.concatenate([jnp.zeros(1, power.dtype), jnp.sqrt(power / grid.volume)])
    return jnp.asarray(sigma8) * amplitude[grid.mode_index]


def program(
    grid: RegularGrid,
    number_density: Float[Array, ""],
    scale_factor: Float[Array, ""],
    matter: dict[str, Float[Array, ""]],
    priors: dict[str, Float[Array, "..."]],
    redshift_space: bool = True,
    coordinates: Coordinates = "centred",
    num_steps: int = 0,
) -> None:
    """White modes, cosmology and bias to the density of galaxies.

    Sites: ``Omega_m``, ``sigma8``, ``b1``, ``b2``, ``bs2`` and ``bn2`` as far as they are not known, and ``modes``. Observed:
    ``density``, in units of its mean.

    Parameters
    ----------
    grid : RegularGrid
        Of the mesh, with distances in Mpc/h.
    number_density : scalar [(h/Mpc)³]
    scale_factor : scalar
        When the galaxies are seen.
    matter : dict of scalar
        ``h``, ``Omega_b`` and ``n_s``.
    priors : dict of array
        Mean and standard deviation, or a number that is known.
    redshift_space : bool
        Whether the last axis is one of redshifts.
    coordinates : {"centred", "scaled", "white"}
        In which NUTS and MCLMC walk.
    num_steps : int
        Of a particle mesh; 0 for perturbation theory of second order.
    """
    theta = {name: _parameter(name, priors[name]) for name in PRIORS}
    Omega_m, bias = theta["Omega_m"], Bias(*(theta[name] for name in Bias._fields))
    amplitude = mode_amplitude(grid, Omega_m, theta["sigma8"], matter)
    boost = kaiser_boost(bias, Omega_m, scale_factor, grid, redshift_space=redshift_space)
    # Of each mode, in linear theory.
    signal_to_noise = jnp.sqrt(number_density * grid.volume) * boost * amplitude
    spread = 1.0 / jnp.sqrt(1.0 + jnp.square(signal_to_noise))

    def centre(density: Array) -> Array:
        if coordinates == "scaled":
            return jnp.zeros(grid.shape)
        noise = 1.0 / jnp.sqrt(number_density * grid.volume)  # of a mode
        seen = grid.synthesised(density - 1.0) / density.size
        return jnp.square(spread) * signal_to_noise * seen / noise

    infer = {} if coordinates == "white" else {"centred_on": ("density", spread, centre)}
    white = dist.Normal(0.0, 1.0).expand(list(grid.shape)).to_event(3)
    modes = jnp.asarray(numpyro.sample("modes", white, infer=infer))
    mean = galaxy_density(
        from_modes(amplitude * modes),
        bias,
        Omega_m,
        scale_factor,
        grid,
        redshift_space=redshift_space,
        num_steps=num_steps,
    )
    noise = 1.0 / jnp.sqrt(number_density * grid.volume / mean.size)
    numpyro.sample("density", dist.Normal(mean, noise).to_event(3))


def _parameter(name: str, prior: Array) -> Array:
    if jnp.ndim(prior) == 0:
        return prior
    if name not in BOUNDS:
        return jnp.asarray(numpyro.sample(name, dist.Normal(prior[0], prior[1])))
    low, high = BOUNDS[name]
    high = None if np.isinf(high) else high
    return jnp.asarray(numpyro.sample(name, dist.TruncatedNormal(prior[0], prior[1], low=low, high=high)))


def build(
    density: ArrayLike,
    box_size: float | tuple[float, float, float],
    number_density: float,
    *,
    scale_factor: float = 0.5,
    priors: Mapping[str, tuple[float, float] | float] | None = None,
    h: float = 0.6766,
    Omega_b: float = 0.049,
    n_s: float = 0.9665,
    redshift_space: bool = True,
    coordinates: Coordinates = "centred",
    num_steps: int = 0,
) -> Problem:
    """The program with galaxies that were seen.

    Parameters
    ----------
    density : array, shape (nx, ny, nz)
        Of galaxies in cells, in units of its mean; :func:`density_of_counts` makes it of counts.
    box_size : float or three [Mpc/h]
        Of the periodic box. Cells of 5 to 10 Mpc/h suit second-order perturbation theory.
    number_density : float [(h/Mpc)³]
        Galaxies per volume, which sets the noise.
    scale_factor : float
        When they are seen.
    priors : mapping, optional
        In place of some of `PRIORS`: mean and standard deviation, or a number that is known.
    h, Omega_b, n_s : float
        The rest of the cosmology, known; by default Planck's of 2018.
    redshift_space : bool
        Whether places along the last axis are those of redshifts.
    coordinates : {"centred", "scaled", "white"}
        In which NUTS and MCLMC walk: relative to linear theory's posterior, scaled by its spread, or the white noise itself.
    num_steps : int
        Of a particle mesh, for cells below 5 Mpc/h or late times: five are a start, and each costs about as much as five
        gradients by perturbation theory of second order, which 0 stands for.

    Raises
    ------
    ValueError
        If the density is no cube of finite numbers with a mean near 1, or a number or prior is not as it should be.
    """
    seen = np.asarray(density, float)
    if seen.ndim != 3 or min(seen.shape, default=0) < 4 or not np.isfinite(seen).all():
        raise ValueError(
            f"`density` must be finite numbers on a mesh of three axes of at least 4 cells, but shape {seen.shape} came."
        )
    sides = np.asarray(box_size, float)
    if sides.shape not in ((), (3,)) or not (np.isfinite(sides).all() and (sides > 0).all()):
        raise ValueError(f"`box_size` must be positive, one length or three, but {box_size} came.")
    for name, value in {"number_density": number_density, "scale_factor": scale_factor, "h": h, "n_s": n_s}.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"`{name}` must be positive, but {value} came.")
    if not 0 < Omega_b < BOUNDS["Omega_m"][0]:
        raise ValueError(
            f"`Omega_b` must be above 0 and below {BOUNDS['Omega_m'][0]}, where Ω_m begins, but {Omega_b} came."
        )
    if coordinates not in ("centred", "scaled", "white"):
        raise ValueError(f'`coordinates` must be "centred", "scaled" or "white", but {coordinates!r} came.')
    if num_steps < 0 or num_steps != int(num_steps):
        raise ValueError(f"`num_steps` must be a whole number, 0 for perturbation theory, but {num_steps} came.")
    return Problem(
        program,
        grid=regular_grid(seen.shape, tuple(np.broadcast_to(sides, 3) / seen.shape)),
        number_density=np.asarray(float(number_density)),
        scale_factor=np.asarray(float(scale_factor)),
        matter={name: np.asarray(float(value)) for name, value in (("h", h), ("Omega_b", Omega_b), ("n_s", n_s))},
        priors=_checked_priors({**PRIORS, **(priors or {})}),
        redshift_space=bool(redshift_space),
        coordinates=coordinates,
        num_steps=int(num_steps),
        observed={"density": seen},
    )


def _checked_priors(priors: Mapping[str, tuple[float, float] | float]) -> dict[str, np.ndarray]:
    if strange := sorted(set(priors) - set(PRIORS)):
        raise ValueError(f"`priors` has {', '.join(strange)}, but the parameters are {', '.join(PRIORS)}.")
    checked = {name: np.asarray(prior, float) for name, prior in priors.items()}
    for name, prior in checked.items():
        if prior.shape not in ((), (2,)) or not np.isfinite(prior).all() or (prior.ndim and prior[1] <= 0):
            raise ValueError(
                f"The prior of `{name}` must be a mean and a positive standard deviation, or a number that is known, "
                f"but {priors[name]} came."
            )
        low, high = BOUNDS.get(name, (-np.inf, np.inf))
        if not low < prior.flat[0] <= high:
            raise ValueError(
                f"The prior of `{name}` must be centred between {low} and {high}, but {priors[name]} came."
            )
    return checked


def density_of_counts(counts: ArrayLike, box_size: float | tuple[float, float, float]) -> tuple[np.ndarray, float]:
    """Density in units of its mean, and galaxies per volume, of counts in cells.

    Parameters
    ----------
    counts : array of int, shape (nx, ny, nz)
    box_size : float or three [Mpc/h]

    Raises
    ------
    ValueError
        If counts are negative or not whole, or there is no galaxy.
    """
    found = np.asarray(counts)
    if found.ndim != 3 or not np.isfinite(found).all() or (found < 0).any() or (found != np.round(found)).any():
        raise ValueError(
            "`counts` must be whole numbers, not below 0, on a mesh of three axes, and without NaN. Give counts, not densities."
        )
    if not found.sum():
        raise ValueError("`counts` hold no galaxy.")
    volume = float(np.prod(np.broadcast_to(np.asarray(box_size, float), 3)))
    return found / found.mean(), float(found.sum()) / volume


@jax.jit
def _initial_density(grid: RegularGrid, modes: Array, Omega_m: Array, sigma8: Array, matter: dict[str, Array]) -> Array:
    return grid.synthesised(mode_amplitude(grid, Omega_m, sigma8, matter) * modes)


def initial_density(problem: Problem, modes: ArrayLike, Omega_m: ArrayLike, sigma8: ArrayLike) -> np.ndarray:
    """Linear density contrast today, of one draw.

    Parameters
    ----------
    problem : Problem
        Of :func:`build`.
    modes : array, shape (nx, ny, nz)
    Omega_m, sigma8 : scalar

    Returns
    -------
    array, shape (nx, ny, nz)
    """
    given = problem.static_program.arguments(problem.data.arrays)[1]
    with jax.enable_x64(True):
        return np.asarray(_initial_density(given["grid"], jnp.asarray(modes), Omega_m, sigma8, given["matter"]))
