"""Quantities in priors: ``dist.Normal(70 * u.km / u.s / u.Mpc, 5 * u.km / u.s / u.Mpc)``.

NumPyro computes with plain numbers and would drop a unit without a word. Its hook for what distributions are made of is taken here:
one that is given quantities is made of plain numbers, all in the unit of the first, and remembers that unit. The hook is taken when
NumPyro is imported after the package, or the package after NumPyro: see :mod:`bayesastro.import_hook`.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions.distribution import COERCIONS

from bayesastro.units import carries_unit, in_unit, is_logarithmic, require_unmasked, said_unit

__all__ = ["require_plain", "unit_of"]

BOUNDED = {"low": 1, "high": 1}
SPREAD = {"loc": 1, "scale": 1}
WHOLE = {"base_dist": 1}
TRUNCATED = {**WHOLE, **BOUNDED}

POWERS: Mapping[type, Mapping[str, int]] = {
    dist.Cauchy: SPREAD,
    dist.Delta: {"v": 1},
    dist.DoublyTruncatedPowerLaw: BOUNDED,
    dist.Exponential: {"rate": -1},
    dist.FoldedDistribution: WHOLE,
    dist.Gamma: {"rate": -1},
    dist.Gumbel: SPREAD,
    dist.HalfCauchy: SPREAD,
    dist.HalfNormal: SPREAD,
    dist.IntervalCensoredDistribution: WHOLE,
    dist.InverseGamma: {"rate": 1},
    dist.Laplace: SPREAD,
    dist.LeftCensoredDistribution: WHOLE,
    dist.LeftTruncatedDistribution: TRUNCATED,
    dist.Logistic: SPREAD,
    dist.LogUniform: BOUNDED,
    dist.LowerTruncatedPowerLaw: BOUNDED,
    dist.MixtureGeneral: {"component_distributions": 1},
    dist.MixtureSameFamily: {"component_distribution": 1},
    dist.MultivariateNormal: {"loc": 1, "covariance_matrix": 2, "precision_matrix": -2, "scale_tril": 1},
    dist.Normal: SPREAD,
    dist.Pareto: SPREAD,
    dist.RightCensoredDistribution: WHOLE,
    dist.RightTruncatedDistribution: TRUNCATED,
    dist.StudentT: SPREAD,
    dist.TwoSidedTruncatedDistribution: TRUNCATED,
    dist.Uniform: BOUNDED,
    dist.Weibull: SPREAD,
}
"""To which power of the value's unit each parameter of a family is; none of those not named has a unit."""


def unit_of(fn: dist.Distribution) -> str:
    """Unit of what a distribution draws, as its quantities said; empty without any."""
    from bayesastro.families import unwrapped  # whose import of NumPyro may be what imports this module

    return getattr(unwrapped(fn), "_value_unit", "")


def require_plain(name: str, value: Any, parts: Sequence[dist.Distribution]) -> None:
    """Raise if a site still has quantities or masks when the program runs, which JAX would take for plain numbers.

    Parameters
    ----------
    name : str
        Of the site.
    value : array or None
        Given by ``obs=``.
    parts : sequence of Distribution
        The site's distribution without wrappers, and those that it is made of.

    Raises
    ------
    TypeError
        If the value is a quantity or masked, or the distribution was made of quantities before the hook was taken.
    """
    require_unmasked(value, f"What `obs=` gives to site `{name}`")
    if unit := said_unit(value):
        raise TypeError(
            f"`obs=` of site `{name}` is in {unit} within the program, where JAX drops units. Give it to `Problem` by "
            "`observed=` or as an argument, which are converted."
        )
    for part in parts:
        if found := [unit for unit in map(said_unit, vars(part).values()) if unit]:
            raise TypeError(
                f"The `{type(part).__name__}` of site `{name}` was made of quantities (in {found[0]}) before `bayesastro` was "
                "imported, and has lost their units. Import `bayesastro` before it is made."
            )


def of_plain_numbers(family: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dist.Distribution | None:
    """The distribution for parameters with units; None where there are none, so that NumPyro goes on by itself.

    Raises
    ------
    TypeError
        If what the family draws has no unit, or none that could be told from its parameters.
    ValueError
        If units are of different kinds, or a plain number other than zero stands beside quantities.
    """
    if not any(map(_says_unit, (*args, *kwargs.values()))):
        return None
    given = inspect.signature(family).bind(*args, **kwargs).arguments
    powers = POWERS.get(family, {})
    if not powers and any(carries_unit(value) and not value.unit.is_equivalent("") for value in given.values()):
        raise TypeError(
            f"Distributions `{family.__name__}` take no quantities. Give plain numbers, and the unit of the site by "
            "`Problem(..., units={...})`."
        )
    if found := [value.unit for value in given.values() if carries_unit(value) and is_logarithmic(value.unit)]:
        raise TypeError(
            f"Distributions take no logarithmic units, but `{family.__name__}` was given {found[0]}. Give plain numbers, and the unit "
            f'of the site by `Problem(..., units={{"name": "{found[0]}"}})`.'
        )
    unit = _unit(given, powers)
    numbers = {n: _number(v, unit, powers.get(n, 0), f"{family.__name__}.{n}") for n, v in given.items()}
    made = type.__call__(family, **numbers)  # not through this hook again
    made._value_unit = unit.to_string()
    return made


def _says_unit(value: Any) -> bool:
    return carries_unit(value) or bool(_parts_unit(value))


def _parts_unit(value: Any) -> str:
    """Unit of a distribution, or of the components of a mixture; empty without any."""
    parts = value if isinstance(value, list | tuple) else [value]
    said = {unit_of(part): None for part in parts if isinstance(part, dist.Distribution)}
    if len(said) > 1:
        units = ", ".join(unit or "none" for unit in said)
        raise ValueError(f"The components of a mixture must be in one unit, but are in {units}. Write all in the same.")
    return next(iter(said), "")


def _unit(given: Mapping[str, Any], powers: Mapping[str, int]) -> Any:
    """Of the value: that of the first parameter which has one."""
    from astropy.units import Unit, dimensionless_unscaled

    for name in filter(powers.__contains__, given):
        value: Any = given[name]
        if carries_unit(value):
            return value.unit ** (1 / powers[name])
        if unit := _parts_unit(value):
            return Unit(unit)
    return dimensionless_unscaled


def _number(value: Any, unit: Any, power: int, name: str) -> Any:
    """A parameter in the unit that it must have."""
    if carries_unit(value):
        return in_unit(value, (unit**power).to_string(), name)
    is_plain = isinstance(value, int | float | np.ndarray | np.generic) and not isinstance(value, jax.Array | bool)
    if power and is_plain and np.any((np.asarray(value) != 0) & np.isfinite(value)):
        raise ValueError(
            f"`{name}` is a plain number beside quantities in {unit}. Give it a unit, too; zero and what the program "
            "computes are taken to be in that one."
        )
    return value


if of_plain_numbers not in COERCIONS:
    COERCIONS.append(of_plain_numbers)
