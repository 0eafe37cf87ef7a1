"""Strong gravitational lensing: mass profiles, ray shooting, and images of lensed sources.

Angles are in arcseconds, convergences in units of the critical surface density, and deflections scaled to the source
plane. A lens is a function of position; planes, point-spread functions and pixels are transforms of such functions.
"""

__all__: list[str] = []
