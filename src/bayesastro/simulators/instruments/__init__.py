"""Instruments: point-spread functions, exposure, response matrices, visibilities, detectors.

Each is a transform that takes a prediction function and returns one of the same signature, or a linear map of arrays
with its adjoint.
"""

from bayesastro.simulators.instruments.king import king_psf
from bayesastro.simulators.instruments.variant_psf import variant_convolved

__all__ = ["king_psf", "variant_convolved"]
