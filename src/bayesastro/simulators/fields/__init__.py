"""Fields as functions of standard normals: grids and their modes, spectra, processes in one dimension, and the density of
matter and galaxies that grows from a Gaussian one.

Examples
--------
A field of unit variance, whose amplitude falls with the square of the wave number:

>>> import jax
>>> from bayesastro.simulators.fields import power_law_amplitude, regular_grid
>>> grid = regular_grid((64, 64), 0.1)
>>> amplitude = power_law_amplitude(grid, -2.0)
>>> xi = jax.random.normal(jax.random.key(1), grid.harmonic_shape)
>>> grid.synthesised(amplitude[grid.mode_index] * xi).shape
(64, 64)
"""

from bayesastro.simulators.fields.displacement import displacement, from_modes, second_order_source, tidal_field
from bayesastro.simulators.fields.galaxies import Bias, galaxy_density, kaiser_boost, lagrangian_weights
from bayesastro.simulators.fields.grids import ModeGrid, RegularGrid, regular_grid
from bayesastro.simulators.fields.painting import cloud_window, painted, read
from bayesastro.simulators.fields.particle_mesh import evolved
from bayesastro.simulators.fields.processes import (
    integrated_wiener_process,
    ornstein_uhlenbeck_process,
    wiener_process,
)
from bayesastro.simulators.fields.shells import shell_index, shell_power
from bayesastro.simulators.fields.sources import gaussian_source
from bayesastro.simulators.fields.spectra import matern_amplitude, power_law_amplitude, smooth_deviations
from bayesastro.simulators.fields.sphere import HealpixGrid, healpix_grid

__all__ = [
    "Bias",
    "HealpixGrid",
    "ModeGrid",
    "RegularGrid",
    "cloud_window",
    "displacement",
    "evolved",
    "from_modes",
    "galaxy_density",
    "gaussian_source",
    "healpix_grid",
    "integrated_wiener_process",
    "kaiser_boost",
    "lagrangian_weights",
    "matern_amplitude",
    "ornstein_uhlenbeck_process",
    "painted",
    "power_law_amplitude",
    "read",
    "regular_grid",
    "second_order_source",
    "shell_index",
    "shell_power",
    "smooth_deviations",
    "tidal_field",
    "wiener_process",
]
