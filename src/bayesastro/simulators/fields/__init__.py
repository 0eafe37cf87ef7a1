"""Gaussian fields as functions of standard normals: grids and their modes, spectra, and processes in one dimension.

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

from bayesastro.simulators.fields.grids import RegularGrid, regular_grid
from bayesastro.simulators.fields.processes import (
    integrated_wiener_process,
    ornstein_uhlenbeck_process,
    wiener_process,
)
from bayesastro.simulators.fields.spectra import matern_amplitude, power_law_amplitude, smooth_deviations

__all__ = [
    "RegularGrid",
    "integrated_wiener_process",
    "matern_amplitude",
    "ornstein_uhlenbeck_process",
    "power_law_amplitude",
    "regular_grid",
    "smooth_deviations",
    "wiener_process",
]
