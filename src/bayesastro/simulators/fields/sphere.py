"""The HEALPix sphere, with the spherical harmonics that a field on it is made of.

A field is the sum of real harmonics, :math:`f = \\sqrt{4\\pi} \\sum_{lm} \\hat f_{lm} Y_{lm}`: the factor makes the variance of a
field the sum of those of its modes, as on regular grids. Modes of the same degree share one amplitude, and the power of the
field per mode is :math:`C_l = 4\\pi a_l^2`.

The transform is that of ducc0 (Reinecke & Seljebotn 2013, A&A 554, A112), bound to JAX by JAXbind, with its exact adjoint.
It runs on CPU.

References
----------
Górski et al. 2005, ApJ 622, 759 (HEALPix); Roth et al. 2024, JOSS 9, 6532 (JAXbind).
"""

import functools
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayesastro.extras import Extra
from bayesastro.simulators.fields.grids import ModeGrid

__all__ = ["HealpixGrid", "healpix_grid"]


class HealpixGrid(ModeGrid):
    """The sphere in HEALPix pixels, ring by ring, and its modes; see :func:`healpix_grid`.

    `mode_length` is the degree l, from 0 to `max_degree`, and `mode_index` that of each real harmonic: first those of order
    m = 0, then for m = 1, 2, … the cosine and the sine of each degree.

    Parameters
    ----------
    shape : tuple of int
        12 nside² pixels.
    nside : int
        Of HEALPix.
    max_degree : int
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    nside: int = eqx.field(static=True)
    max_degree: int = eqx.field(static=True)

    @property
    def volume(self) -> float:
        """Of the sphere [sr]."""
        return 4.0 * math.pi

    def synthesised(self, modes: Float[Array, "..."], first_axis: int = 0) -> Float[Array, "..."]:
        """The field of given modes; see :meth:`ModeGrid.synthesised`."""
        last = jnp.moveaxis(modes, first_axis, -1)
        values = jax.lax.map(_transform(self.nside, self.max_degree), last.reshape(-1, last.shape[-1]))
        return jnp.moveaxis(values.reshape(*last.shape[:-1], *self.shape), -1, first_axis)


def healpix_grid(nside: int, *, max_degree: int | None = None) -> HealpixGrid:
    """The sphere with its modes.

    Parameters
    ----------
    nside : int
        Of HEALPix: 12 nside² pixels.
    max_degree : int, optional
        Of the harmonics; by default 2 nside, beyond which HEALPix pixels do not tell them apart well.

    Raises
    ------
    ImportError
        If JAXbind or ducc0 is not installed.
    ValueError
        If `nside` is not a power of two, or the degree is not from 2 to 3 nside - 1.
    """
    if nside < 1 or nside & (nside - 1):
        raise ValueError(f"`nside` must be a power of two, as HEALPix wants it, but {nside} came.")
    last = 2 * nside if max_degree is None else max_degree
    if not 2 <= last < 3 * nside:
        raise ValueError(f"`max_degree` must be from 2 to 3 nside - 1 = {3 * nside - 1}, but {last} came.")
    _transform(nside, last)
    degree = np.arange(last + 1)
    index = np.concatenate([degree, *(np.repeat(degree[m:], 2) for m in range(1, last + 1))]).astype(np.int32)
    return HealpixGrid(degree.astype(float), 2.0 * degree + 1.0, index, (12 * nside**2,), nside, last)


@functools.lru_cache(maxsize=16)
def _transform(nside: int, max_degree: int) -> Callable[[Float[Array, " modes"]], Float[Array, " pixels"]]:
    """From real harmonics to pixels."""
    with Extra("fields", "Fields on the sphere"):
        from jaxbind.contrib.jaxducc0 import get_healpix_sht
    synthesis = get_healpix_sht(nside, max_degree, max_degree, 0, nthreads=0)
    return lambda modes: math.sqrt(4.0 * math.pi) * synthesis(modes[None])[0][0]
