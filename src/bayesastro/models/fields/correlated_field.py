r"""Correlated fields as parts of NumPyro programs: Gaussian, with a power spectrum that is learnt.

Within a program, `correlated_field` declares the field's latents and returns its values. Excitations are standard normals
by the million, one for each mode of the grid; what makes them a field, the amplitude of each mode, has a few latents with
priors of their own. Any engine takes them: GeoVI on images, NUTS and MCLMC on small ones, calibration of any of them.

Several axes, such as those of the sky and that of energy, have a spectrum each: the amplitude of a field on all is the
product of theirs. Values that depend on nothing but one axis fluctuate as that axis says.

A positive field is the exponential of one: a log-normal field.

References
----------
Arras et al. 2022, Nature Astronomy 6, 259 (arXiv:2002.05218), methods; Edenhofer et al. 2024, JOSS 9, 6593
(arXiv:2402.16683). The latents are those of NIFTy's correlated field, and so is the field at the same excitations.

Examples
--------
>>> import numpyro, numpyro.distributions as dist
>>> import jax.numpy as jnp
>>> import numpy as np
>>> import bayesastro as ba
>>> from bayesastro.models.fields.correlated_field import correlated_field
>>> def program(exposure):
...     log_rate = correlated_field("log_rate", (32, 32), 1.0, fluctuations=(1.0, 0.3), slope=(-2.0, 0.3))
...     numpyro.sample("counts", dist.Poisson(exposure * jnp.exp(log_rate)).to_event(2))
>>> problem = ba.Problem(program, np.ones((32, 32)), observed={"counts": np.ones((32, 32), int)})
>>> [(site.name, site.shape) for site in problem.parameters]
[('log_rate_offset_sd', ()), ('log_rate_fluctuations', ()), ('log_rate_slope', ()), ('log_rate_xi', (32, 32))]
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayesastro.models.fields.priors import Prior, log_normal, normal
from bayesastro.simulators.fields.grids import ModeGrid, regular_grid
from bayesastro.simulators.fields.spectra import matern_amplitude, power_law_amplitude, smooth_deviations

__all__ = ["FieldAxes", "MaternAxes", "PowerLawAxes", "correlated_field", "matern_field", "outer_product_field"]


@dataclass(frozen=True, kw_only=True)
class FieldAxes(ABC):
    """Axes of a field that share a spectrum; abstract.

    Parameters
    ----------
    grid : RegularGrid or HealpixGrid
    fluctuations : prior
        Standard deviation along these axes.
    name : str
        Part of the names of the latents; needed of fields with several spectra.
    """

    grid: ModeGrid
    fluctuations: Prior
    name: str = ""

    @abstractmethod
    def amplitude(self, prefix: str) -> Float[Array, " k"]:
        """Amplitude by length of mode, of unit variance; declares the latents it has."""


@dataclass(frozen=True, kw_only=True)
class PowerLawAxes(FieldAxes):
    """A power law with smooth deviations; see :func:`correlated_field`."""

    slope: Prior
    flexibility: Prior | None = None
    asperity: Prior | None = None

    def amplitude(self, prefix: str) -> Float[Array, " k"]:
        """Amplitude by length of mode, of unit variance."""
        slope = normal(f"{prefix}_slope", self.slope)
        num = self.grid.mode_length.shape[0] - 2
        if self.flexibility is None or num < 1:
            return power_law_amplitude(self.grid, slope)
        flexibility = log_normal(f"{prefix}_flexibility", self.flexibility)
        asperity = 0.0 if self.asperity is None else log_normal(f"{prefix}_asperity", self.asperity)
        xi: Any = numpyro.sample(f"{prefix}_spectrum", dist.Normal(0.0, 1.0).expand([num, 2]).to_event(2))
        return power_law_amplitude(self.grid, slope, smooth_deviations(self.grid, xi, flexibility, asperity))


@dataclass(frozen=True, kw_only=True)
class MaternAxes(FieldAxes):
    """Flat up to a cut-off, a power law beyond; see :func:`matern_field`."""

    cutoff: Prior
    slope: Prior

    def amplitude(self, prefix: str) -> Float[Array, " k"]:
        """Amplitude by length of mode, of unit variance."""
        cutoff = log_normal(f"{prefix}_cutoff", self.cutoff)
        return matern_amplitude(self.grid, cutoff, normal(f"{prefix}_slope", self.slope))


Shape: TypeAlias = int | Sequence[int] | ModeGrid


def correlated_field(
    name: str,
    shape: Shape,
    distances: float | Sequence[float] | None = None,
    *,
    fluctuations: Prior,
    slope: Prior,
    flexibility: Prior | None = None,
    asperity: Prior | None = None,
    offset_mean: float | Float[Array, ""] = 0.0,
    offset_sd: Prior = (1.0, 0.1),
    padding: float = 1.0,
) -> Float[Array, "..."]:
    """A field whose amplitudes are a power law with smooth deviations.

    A prior is a pair of mean and standard deviation (of a normal law for the slope, of a log-normal one for what is
    positive), a NumPyro distribution, or a number that is known.

    Parameters
    ----------
    name : str
        Of the latents: ``{name}_xi``, the excitations; ``{name}_offset_sd``, ``{name}_fluctuations``, ``{name}_slope``,
        ``{name}_flexibility``, ``{name}_asperity`` and ``{name}_spectrum`` as far as there are such.
    shape : int, tuple of int, RegularGrid or HealpixGrid
        On the sphere, what `healpix_grid` makes. A grid of more than some 10⁵ pixels is better made before, by
        `regular_grid`, and given to the program as an argument: its modes are then data, and not part of the compiled
        program.
    distances : float or tuple of float
        Between pixels. Not with a grid.
    fluctuations : prior
        Standard deviation of the field about its mean.
    slope : prior
        Of the amplitude (half of the power spectrum's) over wave number, in logarithms.
    flexibility : prior, optional
        How far the spectrum strays from the power law, per square root of a factor e in wave number; by default it does
        not.
    asperity : prior, optional
        How rough the spectrum is.
    offset_mean : float
    offset_sd : prior
        Standard deviation of the field's mean about `offset_mean`.
    padding : float
        Factor by which the grid on which the field is made is longer. Not with a grid.

    Returns
    -------
    array of the shape given

    Raises
    ------
    ValueError
        If the grid or a prior is not as it should be.
    """
    grid = _grid(shape, distances, padding)
    axes = PowerLawAxes(grid=grid, fluctuations=fluctuations, slope=slope, flexibility=flexibility, asperity=asperity)
    return outer_product_field(name, [axes], offset_mean=offset_mean, offset_sd=offset_sd)


def matern_field(
    name: str,
    shape: Shape,
    distances: float | Sequence[float] | None = None,
    *,
    fluctuations: Prior,
    cutoff: Prior,
    slope: Prior,
    offset_mean: float | Float[Array, ""] = 0.0,
    offset_sd: Prior = (1.0, 0.1),
    padding: float = 1.0,
) -> Float[Array, "..."]:
    """A field whose amplitudes are flat up to a cut-off and fall as a power law beyond.

    Parameters
    ----------
    cutoff : prior
        Wave number, in waves per unit of length.
    slope : prior
        Of the amplitude beyond.
    name, shape, distances, fluctuations, offset_mean, offset_sd, padding
        As for :func:`correlated_field`; the latents of the spectrum are ``{name}_cutoff`` and ``{name}_slope``.

    Returns
    -------
    array of the shape given

    Raises
    ------
    ValueError
        As there.
    """
    axes = MaternAxes(grid=_grid(shape, distances, padding), fluctuations=fluctuations, cutoff=cutoff, slope=slope)
    return outer_product_field(name, [axes], offset_mean=offset_mean, offset_sd=offset_sd)


def outer_product_field(
    name: str,
    axes: Sequence[FieldAxes],
    *,
    offset_mean: float | Float[Array, ""] = 0.0,
    offset_sd: Prior = (1.0, 0.1),
) -> Float[Array, "..."]:
    """A field on several groups of axes, each with a spectrum of its own.

    Parameters
    ----------
    name : str
    axes : sequence of FieldAxes
        In the order of the field's axes. Latents of the spectrum of axes with a name are ``{name}_{axes.name}_…``.
    offset_mean, offset_sd
        As for :func:`correlated_field`.

    Returns
    -------
    array
        With the axes of all.

    Raises
    ------
    ValueError
        If there are no axes, or two have the same name.
    """
    names = [each.name for each in axes]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"`{name}` needs one or more groups of axes, each with a `name` of its own, but {names} came.")
    spread = log_normal(f"{name}_offset_sd", offset_sd)
    parts = []
    for each in axes:
        prefix = f"{name}_{each.name}" if each.name else name
        size = log_normal(f"{prefix}_fluctuations", each.fluctuations)
        amplitude = size * each.amplitude(prefix)
        # The mean's spread is counted once, with the first axes.
        amplitude = amplitude / spread if parts else amplitude
        mean = 1.0 if parts else spread
        parts.append(jnp.concatenate([jnp.reshape(mean, 1), amplitude[1:]])[each.grid.mode_index])
    outer = functools.reduce(lambda a, b: jnp.tensordot(a, b, axes=0), parts)
    xi: Any = numpyro.sample(f"{name}_xi", dist.Normal(0.0, 1.0).expand(list(outer.shape)).to_event(outer.ndim))
    values, first = outer * xi, 0
    for each in axes:
        values = each.grid.synthesised(values, first)
        first += len(each.grid.shape)
    return offset_mean + values


def _grid(shape: Shape, distances: float | Sequence[float] | None, padding: float) -> ModeGrid:
    if isinstance(shape, ModeGrid):
        if distances is not None or padding != 1.0:
            raise ValueError("A grid has distances and padding of its own. Give these to `regular_grid`.")
        return shape
    if distances is None:
        raise ValueError("`correlated_field` needs the `distances` between pixels, or a grid from `regular_grid`.")
    sizes = (int(shape),) if isinstance(shape, int) else tuple(shape)
    spacing = distances if isinstance(distances, int | float) else tuple(distances)
    return _known_grid(sizes, spacing, padding=padding)


_known_grid = functools.lru_cache(maxsize=8)(regular_grid)
"""A program runs several times before it is compiled."""
