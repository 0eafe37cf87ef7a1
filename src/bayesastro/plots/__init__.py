"""Pictures of results: each function returns a figure, and draws on the axes that it is given.

Axes are labelled in LaTeX where a name is a symbol (``theta_E``), with the unit where the result knows one.
"""

from bayesastro.plots.bands import band
from bayesastro.plots.chains import rank, trace
from bayesastro.plots.corners import corner
from bayesastro.plots.evidences import evidence
from bayesastro.plots.maps import field
from bayesastro.plots.predictions import predictive
from bayesastro.plots.style import COLORS, axis_label

__all__ = ["COLORS", "axis_label", "band", "corner", "evidence", "field", "predictive", "rank", "trace"]
