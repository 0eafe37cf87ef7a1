"""Random fields and what shapes them: power spectra, Gaussian processes on grids and spheres, structure formation.

Grids are periodic unless padded; Fourier conventions, lengths and volumes stand with every function. A field is made
from independent standard normals, so that any engine can walk in them.
"""

__all__: list[str] = []
