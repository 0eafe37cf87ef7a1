"""Numbers with units, turned once into plain ones where they come in, and named again where they go out.

Programs compute with plain numbers. In which unit each of them is, a :class:`bayesastro.Problem` is told by ``units=``, or by the
quantities of a prior (:mod:`bayesastro.prior_units`).
"""

import difflib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesastro.hints import told

__all__ = [
    "UndeclaredUnitError",
    "carries_unit",
    "checked_units",
    "in_unit",
    "is_angle",
    "is_logarithmic",
    "is_of_degrees",
    "label",
    "plain",
    "require_same",
    "require_unmasked",
    "said_unit",
]


class UndeclaredUnitError(ValueError):
    """A quantity of which it is not known in which unit the program takes it."""


def carries_unit(value: Any) -> bool:
    """Whether a value is an astropy ``Quantity``, or a column of a table that has a unit."""
    is_quantity = hasattr(value, "to_value") or hasattr(type(value), "quantity")
    return is_quantity and getattr(value, "unit", None) is not None


def require_unmasked(value: Any, what: str) -> None:
    """Raise if a masked array of NumPy or astropy, or a list of such, masks a value; `what` names it in the message.

    Raises
    ------
    TypeError
    """
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, np.ndarray) and np.any(getattr(part, "mask", False)):
            raise TypeError(
                f"{what} is a masked array. Fill it with finite numbers, and pass the inverse of its mask (True where a value "
                "counts) as an argument of its own for `numpyro.handlers.mask` in the program; or leave the masked values out."
            )


def said_unit(value: Any) -> str:
    """Unit of a quantity; empty of plain numbers."""
    return value.unit.to_string() if carries_unit(value) else ""


def in_unit(value: Any, unit: str, name: str, *, spectral: bool = False) -> np.ndarray:
    """Values in a unit; plain numbers are taken to be in it.

    Parameters
    ----------
    value : array, astropy.units.Quantity, or column of an astropy table
    unit : str
        As astropy writes it.
    name : str
        Of the argument, for messages.
    spectral : bool
        Whether wavelengths, frequencies, wave numbers and photon energies stand for one another.

    Raises
    ------
    TypeError
        If a value is masked.
    ValueError
        If the values have a unit of another kind.
    """
    require_unmasked(value, f"`{name}`")
    if not carries_unit(value):
        return np.asarray(value, float)
    from astropy import units

    try:
        quantity = getattr(value, "quantity", value) if is_logarithmic(value.unit) else units.Quantity(value)
        return np.asarray(quantity.to_value(unit, units.spectral() if spectral else []), float)
    except units.UnitConversionError as error:
        wanted = f"in {unit} or a unit of its kind" if unit else "without a unit"
        remedy = ""
        if is_logarithmic(value.unit):
            remedy = f' Declare that unit, `units={{"{name}": "{value.unit}"}}`, or give plain numbers (`.value`) or fluxes (`.physical`).'
        raise ValueError(f"`{name}` must be {wanted}, but is in {value.unit}.{remedy}") from error


def is_logarithmic(unit: Any) -> bool:
    """Whether a unit is of magnitudes with a zero point, ``mag(AB)``, or of decibels or dex of something."""
    return hasattr(unit, "function_unit")


def checked_units(units: Mapping[str, Any] | None) -> dict[str, str]:
    """Units by name, as astropy writes them.

    Raises
    ------
    TypeError
        If `units` is not a mapping of names.
    ValueError
        If a unit is none that astropy knows.
    """
    if units is None:
        return {}
    if not isinstance(units, Mapping) or not all(isinstance(name, str) for name in units):
        raise TypeError(f"`units` must map names of arguments and sites to units, but {told(units)} came.")
    if not units:
        return {}
    from astropy.units import Unit

    found = {}
    for name, unit in units.items():
        try:
            found[name] = Unit(unit).to_string()
        except (TypeError, ValueError) as error:
            meant = _meant(unit, str(error)) if isinstance(unit, str) else ""
            raise ValueError(
                f"The unit of `{name}` must be one that astropy knows, but {told(unit)} came.{meant}"
            ) from error
    return found


def _meant(unit: str, error: str) -> str:
    """The unit that a misspelt one may have meant, as a question with a space before it; empty if nothing is near.

    Parameters
    ----------
    unit : str
    error : str
        What astropy says, with the part that it does not know and, of its many units, those near to that.
    """
    from astropy.units import Unit

    unknown = re.search(r"(\S+) is not a valid unit\.(?: Did you mean (\w+))?", error)
    if unknown is None:
        return ""
    part = unknown[1]
    near = difflib.get_close_matches(part.lower(), _COMMON, n=1)
    meant = _SPELLINGS.get(part.lower()) or (_COMMON[near[0]] if near else unknown[2])
    whole = unit.replace(part, meant or "")
    try:
        return f" Did you mean `{whole}`?" if meant and Unit(whole) else ""
    except ValueError:
        return ""


_SPELLINGS = {
    "kms": "km/s",
    "kmps": "km/s",
    "mps": "m/s",
    "sec": "s",
    "secs": "s",
    "hr": "h",
    "hrs": "h",
    "kparsec": "kpc",
    "mparsec": "Mpc",
    "gparsec": "Gpc",
    "msol": "Msun",
    "solarmass": "Msun",
    "mags": "mag",
}
"""Of units, as they are often written, in small letters."""

_COMMON = {
    name.lower(): name
    for name in [
        "m",
        "km",
        "cm",
        "um",
        "nm",
        "Angstrom",
        "AU",
        "pc",
        "kpc",
        "Mpc",
        "Gpc",
        "parsec",
        "lyr",
        "s",
        "min",
        "h",
        "hour",
        "d",
        "day",
        "yr",
        "year",
        "Myr",
        "Gyr",
        "deg",
        "degree",
        "rad",
        "radian",
        "arcmin",
        "arcsec",
        "mas",
        "hourangle",
        "cycle",
        "sr",
        "mag",
        "Jy",
        "mJy",
        "erg",
        "W",
        "K",
        "eV",
        "keV",
        "Hz",
        "GHz",
        "g",
        "kg",
        "Msun",
        "Lsun",
        "Rsun",
        "electron",
        "count",
    ]
}
"""Units, by their names in small letters, that are meant more often than others of astropy's thousands."""


def plain(value: Any, name: str, units: Mapping[str, str] | None) -> Any:
    """A quantity as plain numbers in the unit declared for its name; what is none, as it came.

    A quantity without a dimension needs no declaration. Where `units` is None, numbers stay in the unit that they came in.

    Raises
    ------
    TypeError
        If a quantity is masked.
    ValueError
        If the unit is of another kind than that declared.
    UndeclaredUnitError
        If none was declared.
    """
    if isinstance(value, list | tuple):  # data sets of a batch
        return [plain(part, name, units) for part in value] if any(map(carries_unit, value)) else value
    if not carries_unit(value):
        return value
    if units is None:
        return np.asarray(value, float)
    if name not in units and (is_logarithmic(value.unit) or not value.unit.is_equivalent("")):
        radians, word = _in_radians(value.unit.to_string())
        raise UndeclaredUnitError(
            f"`{name}` came in {value.unit}, but in which unit the program takes it is not known. Say so, as in "
            f'`Problem(..., units={{"{name}": "{radians}"}})`{word}, and quantities are converted to that.'
        )
    return in_unit(value, units.get(name, ""), name)


def require_same(posterior: Any, units: Mapping[str, str], what: str) -> None:
    """Raise if variables of a result say another unit than that which is known for their names.

    Raises
    ------
    ValueError
    """
    for name, unit in units.items():
        said = posterior[name].attrs.get("units") if name in posterior else None
        if said and said != unit:
            raise ValueError(
                f"`{name}` is in {said} in {what}, but in {unit} in the problem. Declare the same `units` for both, with programs "
                "that compute in them."
            )


def is_of_degrees(unit: str) -> bool:
    """Whether a unit is that of angles in degrees or hours, or of their change with something."""
    if not unit:
        return False
    from astropy.units import Unit, deg, hourangle

    parts: Any = Unit(unit)
    if is_logarithmic(parts):
        return False
    return any(base in (deg, hourangle) and power == 1 for base, power in zip(parts.bases, parts.powers, strict=True))


def is_angle(unit: str) -> bool:
    """Whether a unit is one of angles: radians, degrees, arc minutes, turns, …"""
    if not unit:
        return False
    from astropy.units import Unit, rad

    return bool(Unit(unit).is_equivalent(rad))


def _in_radians(unit: str) -> tuple[str, str]:
    """The unit to propose for what came in one, and a word about it: radians of angles, and of their change in degrees."""
    from astropy.units import Unit, rad

    if unit == "rad" or not (is_angle(unit) or is_of_degrees(unit)):
        return unit, ""
    parts: Any = Unit(unit)
    radians = rad if is_angle(unit) else parts * rad / next(base for base in parts.bases if is_angle(base.to_string()))
    return (
        radians.to_string(),
        f' (radians, if the program takes its sine or cosine; else its own unit, such as "{unit}")',
    )


def label(tree: Any, units: Mapping[str, str]) -> None:
    """Note the units of a result's variables in their attributes, ``attrs["units"]``, in every group that holds values of them."""
    for group in tree.children.values():
        for name, variable in group.data_vars.items():
            if unit := units.get(str(name)):
                variable.attrs["units"] = unit
