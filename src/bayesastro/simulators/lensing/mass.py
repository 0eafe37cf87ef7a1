r"""What every mass is, and sums of masses.

A mass is seen through three functions of position on the sky, all in units in which the lens equation reads
:math:`\beta = \theta - \alpha(\theta)`:

.. math:: \alpha = \nabla \psi, \qquad \kappa = \tfrac12 \nabla^2 \psi .

Fields of a mass are its parameters and may be traced; stacks of masses are used under `jax.vmap`.

References
----------
Meylan et al. (2006), Gravitational Lensing: Strong, Weak and Micro, part 1, arXiv:astro-ph/0407232, sections 2 and 3.
"""

import abc
from typing import NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["SOFTENING", "Companions", "Mass", "Position", "Shears", "hessian", "magnification", "ray_trace"]

SOFTENING = 1e-8
"""Core radius [arcsec] of singular profiles: radii are sqrt(r² + SOFTENING²), so that every derivative is finite at
the centre. Relative errors are (SOFTENING / r)² / 2: 5e-13 at a hundredth of a milliarcsecond."""

Position: TypeAlias = Float[Array | np.ndarray, "*shape"]
"""Coordinates [arcsec], of any shape."""


class Mass(eqx.Module):
    """A thin mass: potential, deflection and convergence at positions on the sky."""

    @abc.abstractmethod
    def potential(self, x: Position, y: Position) -> Position:
        """Lensing potential ψ [arcsec²], of the shape of `x` and `y` [arcsec]."""

    @abc.abstractmethod
    def deflection(self, x: Position, y: Position) -> tuple[Position, Position]:
        """Reduced deflection α [arcsec] along x and y, each of the shape of `x` and `y` [arcsec]."""

    @abc.abstractmethod
    def convergence(self, x: Position, y: Position) -> Position:
        """Surface density κ over the critical one, of the shape of `x` and `y` [arcsec]."""


class Companions(Mass):
    """Several masses in one plane: their potentials add.

    Parameters
    ----------
    masses : tuple of Mass
        At least one: a galaxy, its companions, external shear.
    """

    masses: tuple[Mass, ...]

    def __check_init__(self) -> None:
        if not self.masses:
            raise ValueError("`Companions` needs at least one mass, but an empty tuple came.")

    def potential(self, x: Position, y: Position) -> Position:
        return sum((mass.potential(x, y) for mass in self.masses[1:]), self.masses[0].potential(x, y))

    def deflection(self, x: Position, y: Position) -> tuple[Position, Position]:
        along_x, along_y = self.masses[0].deflection(x, y)
        for mass in self.masses[1:]:
            more_x, more_y = mass.deflection(x, y)
            along_x, along_y = along_x + more_x, along_y + more_y
        return along_x, along_y

    def convergence(self, x: Position, y: Position) -> Position:
        return sum((mass.convergence(x, y) for mass in self.masses[1:]), self.masses[0].convergence(x, y))


class Shears(NamedTuple):
    """Second derivatives of the potential at every position."""

    xx: Position
    xy: Position
    yy: Position


def ray_trace(mass: Mass, x: Position, y: Position) -> tuple[Position, Position]:
    r"""Where in the source plane the light seen at `x`, `y` [arcsec] comes from.

    .. math:: \beta = \theta - \alpha(\theta)
    """
    along_x, along_y = mass.deflection(x, y)
    return x - along_x, y - along_y


def hessian(mass: Mass, x: Position, y: Position) -> Shears:
    r"""Second derivatives :math:`\psi_{ij} = \partial_i \alpha_j`, by differentiating the deflection."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    one, nought = jnp.ones_like(x), jnp.zeros_like(x)
    _, (xx, xy) = jax.jvp(mass.deflection, (x, y), (one, nought))
    _, (_, yy) = jax.jvp(mass.deflection, (x, y), (nought, one))
    return Shears(xx, xy, yy)


def magnification(mass: Mass, x: Position, y: Position) -> Position:
    r"""Signed magnification; infinite on critical curves.

    .. math:: \mu^{-1} = (1 - \psi_{xx})(1 - \psi_{yy}) - \psi_{xy}^2
    """
    second = hessian(mass, x, y)
    return 1.0 / ((1.0 - second.xx) * (1.0 - second.yy) - second.xy**2)
