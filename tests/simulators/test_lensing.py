"""Masses and light against lenstronomy and published numbers, against their own derivatives, and at hard points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from scipy import special

from bayesastro.simulators.lensing import (
    NFW,
    SIE,
    SIS,
    Companions,
    ConvergenceSheet,
    ExternalShear,
    PowerLaw,
    Sersic,
    axis_ratio,
    deflection_of_grid,
    ellipticity,
    hessian,
    magnification,
    order_for,
    position_angle,
)

RNG = np.random.default_rng(7)
X, Y = RNG.uniform(-3.0, 3.0, (2, 300))
CENTRE = {"center_x": 0.02, "center_y": -0.13}
EPL = {"theta_E": 1.2, "gamma": 2.1, "e1": 0.1, "e2": -0.25, **CENTRE}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def power_law(**changes):
    fields = EPL | changes
    return PowerLaw(**fields), ["EPL"], [fields]


def pairs():
    """Ours, and lenstronomy's profiles with their settings."""
    yield "EPL", *power_law()
    yield "EPL shallow", *power_law(gamma=1.15)
    yield "EPL steep", *power_law(gamma=2.85)
    yield "EPL thin", *power_law(e1=0.45, e2=-0.45)
    yield "EPL round", *power_law(e1=0.0, e2=0.0)
    yield "SIE", SIE(1.2, 0.1, -0.25, 0.02, -0.13), ["EPL"], [EPL | {"gamma": 2.0}]
    yield "SIS", SIS(1.2, 0.02, -0.13), ["SIS"], [{"theta_E": 1.2, **CENTRE}]
    halo = {"Rs": 1.1, "alpha_Rs": 1.3, **CENTRE}
    yield "NFW", NFW(**halo), ["NFW"], [halo]
    flat = halo | {"e1": 0.1, "e2": -0.05}
    yield "NFW elliptical", NFW(**flat), ["NFW_ELLIPSE_POTENTIAL"], [flat]
    shear = {"gamma1": 0.03, "gamma2": -0.02, "ra_0": 0.3, "dec_0": 0.1}
    yield "shear", ExternalShear(0.03, -0.02, 0.3, 0.1), ["SHEAR"], [shear]
    yield "sheet", ConvergenceSheet(0.1, 0.3, 0.1), ["CONVERGENCE"], [{"kappa": 0.1, "ra_0": 0.3, "dec_0": 0.1}]
    companion = {"theta_E": 0.2, "center_x": 1.5, "center_y": 0.7}
    yield (
        "companions",
        Companions((PowerLaw(**EPL), SIS(**companion), ExternalShear(0.03, -0.02))),
        ["EPL", "SIS", "SHEAR"],
        [EPL, companion, {"gamma1": 0.03, "gamma2": -0.02}],
    )


PAIRS = {name: rest for name, *rest in pairs()}


@pytest.mark.parametrize("name", PAIRS)
def test_mass_equals_lenstronomy(name):
    ours, profiles, settings = PAIRS[name]
    theirs = LensModel(profiles)
    # The constant of a sheet's and of an NFW halo's potential is nobody's concern, yet it is the same.
    np.testing.assert_allclose(ours.potential(X, Y), theirs.potential(X, Y, settings), atol=1e-6, rtol=0)
    np.testing.assert_allclose(ours.deflection(X, Y), theirs.alpha(X, Y, settings), atol=1e-6, rtol=0)
    if "NFW_ELLIPSE_POTENTIAL" in profiles:
        return  # lenstronomy differences the deflection there over 1e-10; ours is tested by its own derivatives
    np.testing.assert_allclose(ours.convergence(X, Y), theirs.kappa(X, Y, settings), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", PAIRS)
def test_deflection_is_the_gradient_of_the_potential_and_convergence_half_its_laplacian(name):
    ours = PAIRS[name][0]
    points = jnp.stack([X, Y], axis=1)
    gradient = jax.vmap(jax.grad(lambda p: ours.potential(p[0], p[1])))(points)
    tolerance = 1e-5 if name == "EPL thin" else 1e-7  # the approximant's error, magnified by differentiation
    np.testing.assert_allclose(gradient.T, ours.deflection(X, Y), atol=tolerance, rtol=0)
    second = jax.vmap(jax.hessian(lambda p: ours.potential(p[0], p[1])))(points)
    kappa = ours.convergence(X, Y)
    np.testing.assert_allclose(0.5 * jnp.trace(second, axis1=1, axis2=2), kappa, atol=50 * tolerance, rtol=0)
    slopes = hessian(ours, X, Y)
    np.testing.assert_allclose(0.5 * (slopes.xx + slopes.yy), kappa, atol=tolerance, rtol=0)


def test_published_deflections():
    """Numbers computed with lenstronomy and herculens together, e from φ = 0.6 and q = 0.7."""
    e1, e2 = ellipticity(0.7, 0.6)
    assert float(e1) == pytest.approx(0.06394548608411889, abs=1e-15)
    assert float(e2) == pytest.approx(0.16447748575892232, abs=1e-15)
    assert float(axis_ratio(e1, e2)) == pytest.approx(0.7)
    assert float(position_angle(e1, e2)) == pytest.approx(0.6)
    x, y = np.array([1.1, -0.4]), np.array([0.3, 0.9])
    for gamma, expected in (
        (2.1, [[1.1497424, -0.58844717], [0.22527929, 1.11685311]]),
        (2.0, [[1.13543647, -0.58684961], [0.21575809, 1.1067517]]),
    ):
        lens = Companions((PowerLaw(1.2, gamma, e1, e2, 0.02, -0.03), ExternalShear(0.03, -0.02)))
        np.testing.assert_allclose(lens.deflection(x, y), expected, atol=1e-8)
    lens = Companions((PowerLaw(1.2, 2.1, e1, e2, 0.02, -0.03), ExternalShear(0.03, -0.02)))
    np.testing.assert_allclose(lens.convergence(x, y), [0.5574345, 0.44586664], atol=1e-7)
    np.testing.assert_allclose(lens.potential(x, y), [1.45145995, 1.43177356], atol=1e-8)
    np.testing.assert_allclose(magnification(lens, x, y), [-4.51638856, -41.35377179], atol=1e-6)
    light = Sersic(0.5, 3.0, e1, e2)
    np.testing.assert_allclose(light.brightness(x, y), [0.22589694, 0.15692784], atol=1e-8)


def test_sersic_equals_lenstronomy():
    for n, R, e1, e2 in ((0.7, 0.3, 0.1, 0.2), (1.0, 1.3, 0.0, 0.0), (4.0, 0.6, -0.3, 0.2), (7.5, 2.0, 0.05, 0.0)):
        settings = {"amp": 2.0, "R_sersic": R, "n_sersic": n, "e1": e1, "e2": e2, **CENTRE}
        theirs = LightModel(["SERSIC_ELLIPSE"]).surface_brightness(X, Y, [settings])
        ours = Sersic(R, n, e1, e2, 0.02, -0.13, 2.0).brightness(X, Y)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12)


HARD = {
    "centre": (0.0, 0.0),
    "x axis": (0.7, 0.0),
    "y axis": (0.0, -0.9),
    "diagonal": (0.5, 0.5),
    "close to the centre": (1e-12, -1e-11),
    "far away": (1e3, -3e2),
}


@pytest.mark.parametrize("ellipticities", [(0.0, 0.0), (1e-9, 0.0), (0.2, 0.0), (0.0, -0.3)])
@pytest.mark.parametrize("single", [False, True])
def test_gradients_are_finite_at_hard_points(ellipticities, single):
    """With respect to positions and all parameters, at the centre, on the axes and through the circle."""
    e1, e2 = ellipticities
    with jax.enable_x64(not single):
        fields = (1.2, 2.1, e1, e2, 0.0, 0.0)

        def everything(x, y, fields):
            theta_E, gamma, e1, e2, *centre = fields
            masses = (
                PowerLaw(theta_E, gamma, e1, e2, *centre),
                SIE(theta_E, e1, e2, *centre),
                SIS(theta_E, *centre),
                NFW(theta_E, gamma, e1, e2, *centre),
                ExternalShear(e1, e2, *centre),
                ConvergenceSheet(e1, *centre),
            )
            light = Sersic(theta_E, gamma, e1, e2, *centre).brightness(x, y)
            return [(*m.deflection(x, y), m.potential(x, y), m.convergence(x, y)) for m in masses], light

        jacobian = jax.jit(jax.jacfwd(everything, argnums=(0, 1, 2)))
        for name, (x, y) in HARD.items():
            slopes = jacobian(x, y, fields)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes)), name


def test_parameter_gradients_equal_finite_differences():
    fields = np.array([1.2, 2.1, 0.1, -0.25, 0.02, -0.13])

    def deflection(fields, x, y):
        return jnp.stack(PowerLaw(*fields).deflection(x, y))

    exact = jax.jit(jax.jacrev(deflection))(fields, X[:20], Y[:20])
    step = 1e-6
    for i in range(6):
        change = step * np.eye(6)[i]
        slope = (deflection(fields + change, X[:20], Y[:20]) - deflection(fields - change, X[:20], Y[:20])) / (2 * step)
        np.testing.assert_allclose(exact[..., i], slope, atol=2e-7)


@pytest.mark.parametrize("q", [0.9, 0.5, 0.2, 0.1])
def test_order_controls_the_error(q):
    e1, e2 = ellipticity(q, 0.4)
    zeta = (X + 1j * Y) - (float(e1) + 1j * float(e2)) * (X - 1j * Y)
    w = -(float(e1) - 1j * float(e2)) * zeta**2 / np.abs(zeta) ** 2
    size = (np.sqrt(1.0 - float(e1) ** 2 - float(e2) ** 2) / np.abs(zeta)) ** 1.2
    exact = size * zeta * special.hyp2f1(1.0, 0.6, 1.4, w)
    errors = []
    for tolerance in (1e-4, 1e-8):
        order = order_for(q, tolerance)
        along_x, along_y = PowerLaw(1.0, 2.2, e1, e2, order=order).deflection(X, Y)
        errors.append(np.max(np.abs(along_x + 1j * along_y - exact) / np.abs(exact)))
        assert errors[-1] < tolerance
    assert errors[1] < errors[0]


def test_order_needs_an_axis_ratio():
    with pytest.raises(ValueError, match=r"q_min=1\.5"):
        order_for(1.5)


def test_masses_are_stacked_under_vmap():
    """Thousands of lenses at once: the same as one by one."""
    theta_E = jnp.linspace(0.5, 2.0, 5)
    stack = jax.vmap(lambda t: PowerLaw(t, 2.0 + 0.1 * t, 0.1, 0.05 * t))(theta_E)
    together = jax.vmap(lambda mass: jnp.stack(mass.deflection(X, Y)))(stack)
    for i, t in enumerate(theta_E):
        alone = PowerLaw(t, 2.0 + 0.1 * t, 0.1, 0.05 * t).deflection(X, Y)
        np.testing.assert_allclose(together[i], alone, rtol=1e-12)


def test_no_masses_are_refused():
    with pytest.raises(ValueError, match="at least one mass"):
        Companions(())


def test_deflection_of_a_grid():
    """Square pixels of constant convergence: exact against quadrature, and convergent to a smooth profile."""
    rng = np.random.default_rng(3)
    grid, scale = rng.normal(size=(7, 9)), 0.3
    along_x, along_y = deflection_of_grid(jnp.asarray(grid), scale)
    fine = 400
    steps = ((np.arange(fine) + 0.5) / fine - 0.5) * scale
    dx, dy = np.meshgrid(steps, steps)
    rows, columns = np.mgrid[:7, :9]
    for row, column in ((0, 0), (3, 4), (6, 2)):
        total = np.zeros(2)
        for i, j in zip(rows.ravel(), columns.ravel(), strict=True):
            x, y = (column - j) * scale - dx, (row - i) * scale - dy
            total += grid[i, j] * np.array([(x / (x**2 + y**2)).sum(), (y / (x**2 + y**2)).sum()])
        expected = total * (scale / fine) ** 2 / np.pi
        np.testing.assert_allclose([along_x[row, column], along_y[row, column]], expected, atol=2e-5)


def test_deflection_of_a_grid_converges_to_lenstronomy():
    theirs = LensModel(["GAUSSIAN"])
    settings = [{"amp": 2.0, "sigma": 0.5, "center_x": 0.1, "center_y": -0.2}]
    errors = []
    for n in (64, 128):
        side = (np.arange(n) - 0.5 * (n - 1)) * (8.0 / n)
        x, y = np.meshgrid(side, side)
        kappa = theirs.kappa(x.ravel(), y.ravel(), settings).reshape(n, n)
        alpha = np.array(theirs.alpha(x.ravel(), y.ravel(), settings)).reshape(2, n, n)
        ours = np.array(deflection_of_grid(jnp.asarray(kappa), 8.0 / n))
        errors.append(np.abs(ours - alpha).max())
    assert errors[0] < 1e-2
    assert errors[1] < 0.3 * errors[0]
