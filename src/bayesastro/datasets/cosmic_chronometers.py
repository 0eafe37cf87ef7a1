r"""Cosmic chronometers: the expansion rate from the ageing of passive galaxies.

:math:`H(z) = -\dot z / (1 + z)`, where the ages of the oldest galaxies at neighbouring
redshifts give :math:`dt`. The table has 32 points at 0.07 <= z <= 1.965, the
compilation of Moresco et al. (2022) on Bruzual & Charlot (2003) models, with the
redshifts rounded as in the widespread machine-readable copy.

The errors of the table hold the noise and the diagonal systematics. The choice of
stellar population model moves all points together; Moresco et al. (2020) give its size
in percent as a function of redshift, and `chronometer_covariance` adds it.

References
----------
Moresco et al. (2022), doi:10.1007/s41114-022-00040-z, arXiv:2201.07241.
Moresco et al. (2020), doi:10.3847/1538-4357/ab9eb0, arXiv:2003.07362.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = [
    "AUTHORS_TERMS",
    "CONSERVATIVE_TERMS",
    "ChronometerTable",
    "chronometer_covariance",
    "cosmic_chronometers",
]

CONSERVATIVE_TERMS = ("imf", "stellar_library", "model_ooo")
"""Initial mass function, stellar library, population model without the odd one out."""

AUTHORS_TERMS = ("imf", "model_ooo")
"""The sum that the authors' public example recommends: no stellar library."""

_CITATION = (
    "H(z): Jimenez et al. 2003 (arXiv:astro-ph/0302560), Simon et al. 2005 "
    "(arXiv:astro-ph/0412269), Stern et al. 2010 (arXiv:0907.3149), Moresco et al. "
    "2012 (arXiv:1201.3609), Zhang et al. 2014 (arXiv:1207.4541), Moresco 2015 "
    "(arXiv:1503.01116), Moresco et al. 2016 (arXiv:1601.01701), Ratsimbazafy et al. "
    "2017 (arXiv:1702.00418), Borghi et al. 2022 (arXiv:2110.04304); systematics: "
    "Moresco et al. 2020 (arXiv:2003.07362)"
)

# z, H [km/s/Mpc], sigma [km/s/Mpc], source
_MEASUREMENTS = (
    (0.07, 69.0, 19.6, "Zhang+2014"),
    (0.09, 69.0, 12.0, "Jimenez+2003"),
    (0.12, 68.6, 26.2, "Zhang+2014"),
    (0.17, 83.0, 8.0, "Simon+2005"),
    (0.179, 75.0, 4.0, "Moresco+2012"),
    (0.199, 75.0, 5.0, "Moresco+2012"),
    (0.20, 72.9, 29.6, "Zhang+2014"),
    (0.27, 77.0, 14.0, "Simon+2005"),
    (0.28, 88.8, 36.6, "Zhang+2014"),
    (0.352, 83.0, 14.0, "Moresco+2012"),
    (0.38, 83.0, 13.5, "Moresco+2016"),
    (0.4, 95.0, 17.0, "Simon+2005"),
    (0.4004, 77.0, 10.2, "Moresco+2016"),
    (0.425, 87.1, 11.2, "Moresco+2016"),
    (0.445, 92.8, 12.9, "Moresco+2016"),
    (0.47, 89.0, 49.6, "Ratsimbazafy+2017"),
    (0.4783, 80.9, 9.0, "Moresco+2016"),
    (0.48, 97.0, 62.0, "Stern+2010"),
    (0.593, 104.0, 13.0, "Moresco+2012"),
    (0.68, 92.0, 8.0, "Moresco+2012"),
    (0.75, 98.8, 33.6, "Borghi+2022"),
    (0.781, 105.0, 12.0, "Moresco+2012"),
    (0.875, 125.0, 17.0, "Moresco+2012"),
    (0.88, 90.0, 40.0, "Stern+2010"),
    (0.9, 117.0, 23.0, "Simon+2005"),
    (1.037, 154.0, 20.0, "Moresco+2012"),
    (1.3, 168.0, 17.0, "Simon+2005"),
    (1.363, 160.0, 33.6, "Moresco2015"),
    (1.43, 177.0, 18.0, "Simon+2005"),
    (1.53, 140.0, 14.0, "Simon+2005"),
    (1.75, 202.0, 40.0, "Simon+2005"),
    (1.965, 186.5, 50.4, "Moresco2015"),
)

_SYSTEMATIC_COLUMNS = ("imf", "stellar_library", "model", "model_ooo")

# z, then the columns above [percent of H]
_SYSTEMATICS = (
    (0.075, 0.47, 7.40, 15.86, 9.91),
    (0.125, 0.47, 7.40, 14.23, 6.98),
    (0.175, 0.47, 7.40, 13.34, 5.40),
    (0.225, 0.47, 7.40, 13.21, 5.40),
    (0.275, 0.47, 7.40, 13.29, 5.40),
    (0.325, 0.47, 7.40, 12.20, 5.40),
    (0.375, 0.47, 7.40, 12.99, 5.40),
    (0.425, 0.47, 7.40, 10.29, 6.20),
    (0.475, 0.46, 7.39, 8.91, 5.86),
    (0.525, 0.23, 7.40, 9.99, 6.51),
    (0.575, 0.28, 6.87, 10.09, 6.12),
    (0.625, 0.47, 6.65, 11.17, 6.21),
    (0.675, 0.47, 6.57, 11.12, 5.71),
    (0.725, 0.47, 5.90, 10.81, 5.16),
    (0.775, 0.45, 6.03, 10.75, 5.05),
    (0.825, 0.47, 6.10, 10.75, 5.05),
    (0.875, 0.47, 5.89, 9.08, 2.79),
    (0.925, 0.44, 5.80, 8.62, 3.70),
    (0.975, 0.40, 5.94, 7.32, 3.65),
    (1.025, 0.27, 6.07, 5.84, 3.37),
    (1.075, 0.20, 6.08, 6.02, 3.49),
    (1.125, 0.20, 6.07, 4.72, 2.33),
    (1.175, 0.19, 6.09, 4.31, 2.33),
    (1.225, 0.19, 6.09, 3.90, 2.33),
    (1.275, 0.19, 6.09, 3.90, 2.33),
    (1.325, 0.20, 6.09, 3.91, 2.34),
    (1.375, 0.19, 6.09, 3.90, 2.34),
    (1.425, 0.19, 6.09, 3.90, 2.33),
    (1.475, 0.20, 6.09, 3.91, 2.34),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ChronometerTable:
    """Expansion rates with their covariance.

    Parameters
    ----------
    z : (n,) array
        Redshifts.
    H : (n,) array [km/s/Mpc]
        Expansion rates.
    sigma : (n,) array [km/s/Mpc]
        Errors as published, without the common systematics.
    covariance : (n, n) array [(km/s/Mpc)^2]
        Covariance of `H` with the common systematics.
    source : tuple of str
        Paper behind each point.
    citation : str
        What to cite.
    """

    z: Float[np.ndarray, " n"]
    H: Float[np.ndarray, " n"]
    sigma: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"]
    source: tuple[str, ...]
    citation: str


def chronometer_covariance(
    z: Float[np.ndarray, " n"],
    H: Float[np.ndarray, " n"],
    sigma: Float[np.ndarray, " n"],
    *,
    terms: tuple[str, ...] = AUTHORS_TERMS,
) -> Float[np.ndarray, "n n"]:
    r"""Covariance of chronometer measurements with their common systematics.

    .. math::

        C_{ij} = \sigma_i^2 \delta_{ij} + \sum_t s_{ti} s_{tj}, \qquad
        s_{ti} = H_i \, f_t(z_i) / 100 ,

    each term fully correlated between redshifts, with :math:`f_t` interpolated
    linearly in the table of Moresco et al. (2020).

    Parameters
    ----------
    z : (n,) array
        Redshifts. The table covers 0.075 to 1.475; outside, its end values hold, as in
        the authors' example.
    H : (n,) array [km/s/Mpc]
        Expansion rates.
    sigma : (n,) array [km/s/Mpc]
        Errors as published.
    terms : tuple of str
        Which systematics to add: ``"imf"``, ``"stellar_library"``, ``"model_ooo"``
        (population models without the most discordant one) or ``"model"`` (all of
        them; contains ``"model_ooo"``, so take one of the two). The default is the
        choice of the authors' public example. `CONSERVATIVE_TERMS` adds the stellar
        library, which widens the error of H0 in flat LambdaCDM from 5.5 to 7.6 km/s/Mpc.

    Returns
    -------
    (n, n) array [(km/s/Mpc)^2]
        Covariance of `H`.

    Raises
    ------
    ValueError
        If `terms` names an unknown systematic.

    References
    ----------
    Moresco et al. (2020), doi:10.3847/1538-4357/ab9eb0, arXiv:2003.07362.
    """
    unknown = [term for term in terms if term not in _SYSTEMATIC_COLUMNS]
    if unknown:
        raise ValueError(f"`terms` must be chosen from {_SYSTEMATIC_COLUMNS}, but has {unknown}.")
    grid, *columns = np.array(_SYSTEMATICS).T
    percent: dict[str, np.ndarray] = dict(zip(_SYSTEMATIC_COLUMNS, columns, strict=True))
    covariance = np.diag(np.square(sigma))
    for term in terms:
        shift = H * np.interp(z, grid, percent[term]) / 100.0
        covariance += np.outer(shift, shift)
    return covariance


def cosmic_chronometers(*, terms: tuple[str, ...] = AUTHORS_TERMS) -> ChronometerTable:
    """The 32 cosmic-chronometer measurements of H(z) and their covariance.

    The authors apply their systematics to the 15 points of Moresco et al. (``source``
    begins with "Moresco"); here every point gets them.

    Parameters
    ----------
    terms : tuple of str
        Which systematics the covariance contains; see `chronometer_covariance`.

    Returns
    -------
    ChronometerTable
        The measurements in order of redshift.

    References
    ----------
    Moresco et al. (2022), arXiv:2201.07241; Moresco et al. (2020), arXiv:2003.07362.
    """
    columns = zip(*_MEASUREMENTS, strict=True)
    z, H, sigma = (np.array(next(columns)) for _ in range(3))
    return ChronometerTable(
        z=z,
        H=H,
        sigma=sigma,
        covariance=chronometer_covariance(z, H, sigma, terms=terms),
        source=next(columns),
        citation=_CITATION,
    )
