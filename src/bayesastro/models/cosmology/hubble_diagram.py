"""The expansion history from a Hubble diagram: magnitudes of standardised supernovae with their covariance.

The zero point of the magnitudes is unknown, and with it the Hubble constant.
"""

import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayesastro.datasets import HubbleDiagram
from bayesastro.models.cosmology.universes import (
    DISTANCE_H0,
    DarkEnergy,
    check_dark_energy,
    check_redshifts,
    flat_universe,
)
from bayesastro.problem import Problem
from bayesastro.simulators.cosmology import heliocentric_distance_modulus

__all__ = ["build", "program"]


def program(
    z_cmb: Float[Array, " n"],
    z_hel: Float[Array, " n"],
    tril: Float[Array, "n n"],
    centre: Float[Array, ""],
    dark_energy: DarkEnergy = "lambda",
) -> None:
    """Magnitudes in a flat universe; see :func:`bayesastro.models.cosmology.universes.flat_universe` for its prior.

    Parameters
    ----------
    z_cmb, z_hel : arrays, shape (n,)
        Redshifts in the frames of the microwave background and of the Sun.
    tril : array, shape (n, n) [mag]
        Cholesky factor of the covariance, lower triangle.
    centre : scalar [mag]
        About which the zero point has a normal prior of standard deviation 2: an absolute magnitude (−19.3) if the
        data are apparent ones, 0 if they are distance moduli.
    dark_energy : {"lambda", "w", "w0wa"}
    """
    cosmology = flat_universe(DISTANCE_H0, dark_energy)
    zero_point = numpyro.sample("zero_point", dist.Normal(centre, 2.0))  # [mag]
    mu = heliocentric_distance_modulus(z_cmb, z_hel, cosmology)
    numpyro.sample("magnitude", dist.MultivariateNormal(mu + zero_point, scale_tril=tril))


def build(diagram: HubbleDiagram, dark_energy: DarkEnergy = "lambda") -> Problem:
    """The program with a Hubble diagram.

    Parameters
    ----------
    diagram : HubbleDiagram
        Such as :func:`bayesastro.datasets.read_union3` gives.
    dark_energy : {"lambda", "w", "w0wa"}

    Raises
    ------
    ValueError
        If a redshift is not above 0, the covariance is not positive definite, or `dark_energy` is none of these.
    """
    check_dark_energy(dark_energy)
    check_redshifts(diagram.z_cmb)
    try:
        tril = np.linalg.cholesky(diagram.covariance)
    except np.linalg.LinAlgError as error:
        raise ValueError("The covariance of the Hubble diagram is not positive definite. Check its file.") from error
    centre = np.array(0.0 if diagram.is_modulus else -19.3)
    observed = {"magnitude": diagram.magnitude}
    units = {"zero_point": "mag", "magnitude": "mag"}
    return Problem(
        program, diagram.z_cmb, diagram.z_hel, tril, centre, dark_energy=dark_energy, observed=observed, units=units
    )
