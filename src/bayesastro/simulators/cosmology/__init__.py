"""The expanding universe: expansion rate and distances, growth of structure and its linear power spectrum.

Examples
--------
>>> from bayesastro.simulators.cosmology import Cosmology, luminosity_distance
>>> planck = Cosmology(H0=67.7, Omega_m=0.31)
>>> print(round(float(luminosity_distance(1.0, planck))))  # Mpc
6792
"""

from bayesastro.simulators.cosmology.bao import bao_ratios
from bayesastro.simulators.cosmology.distances import (
    SPEED_OF_LIGHT,
    Cosmology,
    angular_diameter_distance,
    comoving_distance,
    distance_modulus,
    efunc,
    hubble_distance,
    hubble_parameter,
    interpolated_distance,
    luminosity_distance,
    transverse_comoving_distance,
    volume_averaged_distance,
)
from bayesastro.simulators.cosmology.growing_modes import Growth, growth
from bayesastro.simulators.cosmology.matter_power import linear_power, smooth_transfer, transfer
from bayesastro.simulators.cosmology.supernovae import (
    detection_log_probability,
    heliocentric_distance_modulus,
    observed_moments,
    tripp_magnitude,
)

__all__ = [
    "SPEED_OF_LIGHT",
    "Cosmology",
    "Growth",
    "angular_diameter_distance",
    "bao_ratios",
    "comoving_distance",
    "detection_log_probability",
    "distance_modulus",
    "efunc",
    "growth",
    "heliocentric_distance_modulus",
    "hubble_distance",
    "hubble_parameter",
    "interpolated_distance",
    "linear_power",
    "luminosity_distance",
    "observed_moments",
    "smooth_transfer",
    "transfer",
    "transverse_comoving_distance",
    "tripp_magnitude",
    "volume_averaged_distance",
]
