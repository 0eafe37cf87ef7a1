"""Spectra: continua, lines, absorption, photometry through filters, and plasma and radiative-transfer models.

Wavelengths are vacuum wavelengths in ångström unless an argument says otherwise; flux densities name their unit in the
type of the argument. Resolution and response are transforms that take a spectrum and return one.
"""

__all__: list[str] = []
