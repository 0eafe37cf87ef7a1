"""Strong gravitational lensing: mass profiles, ray shooting, and images of lensed sources.

Angles are in arcseconds, convergences in units of the critical surface density, and deflections scaled to the source
plane. A lens is a function of position; planes, point-spread functions and pixels are transforms of such functions.

Examples
--------
The four images of a point source, with their magnifications:

>>> from bayesastro.simulators.lensing import Companions, ExternalShear, PowerLaw, image_positions, magnification
>>> lens = Companions((PowerLaw(1.2, 2.1, 0.064, 0.164, 0.02, -0.03), ExternalShear(0.03, -0.02)))
>>> images = image_positions(lens, 0.05, 0.08, half_width=3.0)
>>> print(int(images.is_image.sum()))
4
>>> [round(float(mu), 1) for mu in magnification(lens, images.x[:2], images.y[:2])]
[3.9, 6.4]
"""

from bayesastro.simulators.lensing.delays import arrival_time, fermat_potential, time_delay_distance
from bayesastro.simulators.lensing.ellipticity import axis_ratio, ellipticity, position_angle
from bayesastro.simulators.lensing.external import ConvergenceSheet, ExternalShear
from bayesastro.simulators.lensing.grids import deflection_of_grid
from bayesastro.simulators.lensing.images import ImagePositions, image_positions
from bayesastro.simulators.lensing.imaging import PixelGrid, convolved, lensed, supersampled
from bayesastro.simulators.lensing.light import Light, Sersic, sersic_flux
from bayesastro.simulators.lensing.mass import Companions, Mass, hessian, magnification, ray_trace
from bayesastro.simulators.lensing.nfw import NFW
from bayesastro.simulators.lensing.pixels import PixelSource
from bayesastro.simulators.lensing.power_law import SIE, SIS, PowerLaw, order_for
from bayesastro.simulators.lensing.transients import TransientImages, transient_images

__all__ = [
    "NFW",
    "SIE",
    "SIS",
    "Companions",
    "ConvergenceSheet",
    "ExternalShear",
    "ImagePositions",
    "Light",
    "Mass",
    "PixelGrid",
    "PixelSource",
    "PowerLaw",
    "Sersic",
    "TransientImages",
    "arrival_time",
    "axis_ratio",
    "convolved",
    "deflection_of_grid",
    "ellipticity",
    "fermat_potential",
    "hessian",
    "image_positions",
    "lensed",
    "magnification",
    "order_for",
    "position_angle",
    "ray_trace",
    "sersic_flux",
    "supersampled",
    "time_delay_distance",
    "transient_images",
]
