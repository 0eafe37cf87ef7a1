"""What acts on a lens from outside: shear, and a sheet of constant convergence."""

from jaxtyping import ScalarLike

from bayesastro.simulators.lensing.mass import Mass, Position

__all__ = ["ConvergenceSheet", "ExternalShear"]


class ExternalShear(Mass):
    r"""Constant shear, :math:`\psi = \tfrac12 \gamma_1 (x^2 - y^2) + \gamma_2 x y`.

    Parameters
    ----------
    gamma1, gamma2 : scalar
    origin_x, origin_y : scalar [arcsec]
        Where the deflection vanishes.
    """

    gamma1: ScalarLike
    gamma2: ScalarLike
    origin_x: ScalarLike = 0.0
    origin_y: ScalarLike = 0.0

    def potential(self, x: Position, y: Position) -> Position:
        x, y = x - self.origin_x, y - self.origin_y
        return 0.5 * self.gamma1 * (x * x - y * y) + self.gamma2 * x * y

    def deflection(self, x: Position, y: Position) -> tuple[Position, Position]:
        x, y = x - self.origin_x, y - self.origin_y
        return self.gamma1 * x + self.gamma2 * y, self.gamma2 * x - self.gamma1 * y

    def convergence(self, x: Position, y: Position) -> Position:
        return 0.0 * x


class ConvergenceSheet(Mass):
    r"""Constant convergence, :math:`\psi = \tfrac12 \kappa (x^2 + y^2)`.

    Parameters
    ----------
    kappa : scalar
    origin_x, origin_y : scalar [arcsec]
        Where the deflection vanishes.
    """

    kappa: ScalarLike
    origin_x: ScalarLike = 0.0
    origin_y: ScalarLike = 0.0

    def potential(self, x: Position, y: Position) -> Position:
        x, y = x - self.origin_x, y - self.origin_y
        return 0.5 * self.kappa * (x * x + y * y)

    def deflection(self, x: Position, y: Position) -> tuple[Position, Position]:
        return self.kappa * (x - self.origin_x), self.kappa * (y - self.origin_y)

    def convergence(self, x: Position, y: Position) -> Position:
        return self.kappa + 0.0 * x
