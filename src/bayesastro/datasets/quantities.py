"""Numbers with units, turned once into plain ones where they come in."""

from typing import Any

import numpy as np

__all__ = ["in_unit"]


def in_unit(value: Any, unit: str, name: str, *, spectral: bool = False) -> np.ndarray:
    """Values in a unit; plain numbers are taken to be in it.

    Parameters
    ----------
    value : array or astropy.units.Quantity
    unit : str
        As astropy writes it.
    name : str
        Of the argument, for messages.
    spectral : bool
        Whether wavelengths, frequencies, wave numbers and photon energies stand for one another.

    Raises
    ------
    ValueError
        If the values have a unit of another kind.
    """
    if not hasattr(value, "unit"):
        return np.asarray(value, float)
    from astropy import units

    try:
        return np.asarray(units.Quantity(value).to_value(unit, units.spectral() if spectral else []), float)
    except units.UnitConversionError as error:
        raise ValueError(f"`{name}` must be in {unit} or a unit of its kind, but is in {value.unit}.") from error
