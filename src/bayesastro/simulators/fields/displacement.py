r"""Displacements of matter in a periodic box by Lagrangian perturbation theory, from the linear density.

Matter that was at q is at :math:`x = q + \Psi(q)`. To second order

.. math::

    \Psi = - D_1 \nabla \varphi_1 + D_2 \nabla \varphi_2, \qquad
    \nabla^2 \varphi_1 = \delta, \quad
    \nabla^2 \varphi_2 = \sum_{i<j} (\varphi_{1,ii} \varphi_{1,jj} - \varphi_{1,ij}^2),

with the linear density contrast δ today and D₂ ≈ −3/7 D₁². All derivatives are exact for what the mesh resolves; odd ones
leave out the shortest wave along an axis, which the mesh sees in one phase alone.

A density is given by the half of its Fourier coefficients that ``rfftn`` keeps. Lengths are in the unit of the grid's
distances.

References
----------
Bouchet et al. 1995, A&A 296, 575 (arXiv:astro-ph/9406013); Jenkins 2010, MNRAS 403, 1859 (arXiv:0910.0258), equations 2
and 3.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from bayesastro.simulators.fields.grids import RegularGrid

__all__ = [
    "density_of",
    "displacement",
    "from_modes",
    "second_order_source",
    "tidal_field",
    "wave_numbers",
]

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Axes of the derivatives of `tidal_field`, in their order."""


def wave_numbers(grid: RegularGrid, *, odd: bool = False) -> tuple[Float[Array, "..."], ...]:
    """Wave numbers along each axis, for broadcasting over the half of the modes that ``rfftn`` keeps.

    Parameters
    ----------
    grid : RegularGrid
    odd : bool
        For derivatives of odd order: without the shortest wave along an axis of even length.

    Returns
    -------
    tuple of array [radians per unit of length]
    """
    numbers = []
    for axis, (n, distance) in enumerate(zip(grid.shape, grid.distances, strict=True)):
        is_last = axis == len(grid.shape) - 1
        k = 2.0 * np.pi * (np.fft.rfftfreq(n, distance) if is_last else np.fft.fftfreq(n, distance))
        if odd and n % 2 == 0:
            k[n // 2] = 0.0
        numbers.append(jnp.asarray(k).reshape([-1 if i == axis else 1 for i in range(len(grid.shape))]))
    return tuple(numbers)


def from_modes(modes: Float[Array, "nx ny nz"]) -> Complex[Array, "nx ny nz_half"]:
    """Fourier coefficients, as of ``rfftn``, of the field that a grid synthesises of its modes."""
    kept = modes.shape[-1] // 2 + 1
    mirrored = _mirrored(_mirrored(_mirrored(modes, 2)[..., :kept], 1), 0)
    half = modes[..., :kept]
    return 0.5 * modes.size * jax.lax.complex(half + mirrored, half - mirrored)


def density_of(density_k: Complex[Array, "nx ny nz_half"], grid: RegularGrid) -> Float[Array, "nx ny nz"]:
    """The field of Fourier coefficients."""
    return jnp.fft.irfftn(density_k, s=grid.shape)


def tidal_field(density_k: Complex[Array, "nx ny nz_half"], grid: RegularGrid) -> tuple[Float[Array, "nx ny nz"], ...]:
    """Second derivatives of the potential whose Laplacian is a density, in the order of `PAIRS`."""
    k, odd = wave_numbers(grid), wave_numbers(grid, odd=True)
    potential = density_k * _inverse_square(grid)
    return tuple(density_of((k[i] * k[j] if i == j else odd[i] * odd[j]) * potential, grid) for i, j in PAIRS)


def second_order_source(tidal: tuple[Float[Array, "nx ny nz"], ...]) -> Float[Array, "nx ny nz"]:
    """Laplacian of the second-order potential, of the second derivatives of the first."""
    xx, yy, zz, xy, xz, yz = tidal
    return xx * yy + xx * zz + yy * zz - jnp.square(xy) - jnp.square(xz) - jnp.square(yz)


def displacement(source_k: Complex[Array, "nx ny nz_half"], grid: RegularGrid, axis: int) -> Float[Array, "nx ny nz"]:
    """Component along an axis of the gradient field whose divergence is minus a source.

    Of the source :math:`D_1 \\delta - D_2 \\nabla^2 \\varphi_2` it is the displacement.

    Parameters
    ----------
    source_k : array
        Fourier coefficients of the source; that of no wave is left out.
    grid : RegularGrid
    axis : int

    Returns
    -------
    array [unit of length]
    """
    return density_of(1j * wave_numbers(grid, odd=True)[axis] * _inverse_square(grid) * source_k, grid)


def _mirrored(modes: Array, axis: int) -> Array:
    """Each wave in the place of its opposite."""
    return jnp.roll(jnp.flip(modes, axis), 1, axis)


def _inverse_square(grid: RegularGrid) -> Float[Array, "nx ny nz_half"]:
    """1/k², 0 for no wave."""
    x, y, z = wave_numbers(grid)
    squared = jnp.square(x) + jnp.square(y) + jnp.square(z)
    return 1.0 / squared.at[0, 0, 0].set(jnp.inf)
