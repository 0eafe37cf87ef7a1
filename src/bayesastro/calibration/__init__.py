"""Calibration: whether an engine's posteriors are right, by simulations of which the truth is known.

Each check of :func:`calibrate` is a pure NumPy function of a *pool* (:mod:`bayesastro.calibration.exchange`): for every
simulation the truth and independent posterior draws. A right posterior makes them exchangeable, and that is all that any
check presumes. :func:`check_local` looks at single data sets, for amortised posteriors.
"""

from bayesastro.calibration.calibrate import calibrate
from bayesastro.calibration.recalibration import Recalibration, recalibrate
from bayesastro.calibration.report import CalibrationReport

__all__ = ["CalibrationReport", "Recalibration", "calibrate", "recalibrate"]
