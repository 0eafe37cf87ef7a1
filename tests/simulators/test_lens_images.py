"""Images of lensed sources against lenstronomy, sources on pixels, and multiple images of points."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM, LambdaCDM
from lenstronomy.Cosmo.lens_cosmo import LensCosmo
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from lenstronomy.LightModel.light_model import LightModel
from scipy import signal

from bayesastro.simulators.convolution import convolved_image
from bayesastro.simulators.cosmology import Cosmology
from bayesastro.simulators.lensing import (
    SIE,
    Companions,
    ExternalShear,
    PixelGrid,
    PixelSource,
    PowerLaw,
    Sersic,
    arrival_time,
    convolved,
    ellipticity,
    fermat_potential,
    image_positions,
    lensed,
    magnification,
    ray_trace,
    supersampled,
    time_delay_distance,
)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


E1, E2 = (float(e) for e in (0.06394548608411889, 0.16447748575892232))
MASS = {"theta_E": 1.2, "gamma": 2.1, "e1": E1, "e2": E2, "center_x": 0.02, "center_y": -0.03}
SHEAR = {"gamma1": 0.03, "gamma2": -0.02}


def lens(**changes):
    return Companions((PowerLaw(**(MASS | changes)), ExternalShear(**SHEAR)))


def gaussian_psf(size=21, sigma=2.0):
    y, x = np.mgrid[:size, :size] - size // 2
    psf = np.exp(-0.5 * ((x - 0.3) ** 2 + y**2) / sigma**2)  # off its middle, lest a transposed one pass
    return psf / psf.sum()


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_image_equals_lenstronomy(factor):
    size, scale = (45, 45), 0.08
    psf = gaussian_psf()
    grid = PixelGrid(size, scale)
    x, y = grid.coordinates()
    source = Sersic(0.2, 1.5, 0.1, 0.05, 0.05, 0.08, 3.0)
    ours = convolved(supersampled(lensed(source.brightness, lens()), scale, factor), psf)(x, y)
    data = ImageData(
        np.zeros(size), 1.0, 1.0, ra_at_xy_0=x[0, 0], dec_at_xy_0=y[0, 0], transform_pix2angle=scale * np.eye(2)
    )
    theirs = ImageModel(
        data,
        PSF("PIXEL", kernel_point_source=psf),
        LensModel(["EPL", "SHEAR"]),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": factor},
    ).image(
        [MASS, SHEAR],
        [{"amp": 3.0, "R_sersic": 0.2, "n_sersic": 1.5, "e1": 0.1, "e2": 0.05, "center_x": 0.05, "center_y": 0.08}],
    )
    # lenstronomy's images are fluxes in pixels, ours surface brightnesses.
    np.testing.assert_allclose(ours * scale**2, theirs, atol=1e-6 * theirs.max())


@pytest.mark.parametrize("shape", [(5, 7), (21, 3), (33, 31)])
def test_convolution_equals_the_direct_sum(shape):
    rng = np.random.default_rng(1)
    image, psf = rng.normal(size=(12, 17)), rng.normal(size=shape)
    padded = np.pad(image, ((shape[0] // 2,) * 2, (shape[1] // 2,) * 2))
    expected = signal.convolve2d(padded, psf, mode="valid")
    np.testing.assert_allclose(convolved_image(jnp.asarray(image), jnp.asarray(psf)), expected, atol=1e-12)


def test_psf_needs_a_middle_pixel():
    with pytest.raises(ValueError, match=r"odd sides.*\(4, 5\)"):
        convolved_image(jnp.zeros((10, 10)), jnp.ones((4, 5)))


def test_grids_and_factors_are_checked():
    with pytest.raises(ValueError, match="positive size"):
        PixelGrid((10, 10), -0.1)
    with pytest.raises(ValueError, match="whole number"):
        supersampled(lambda x, y: x, 0.1, 0)


def test_bilinear_source_equals_lenstronomy():
    rng = np.random.default_rng(2)
    pixels, scale = rng.normal(size=(13, 13)), 0.1
    x, y = rng.uniform(-0.59, 0.59, (2, 300))
    settings = [{"image": pixels, "amp": 1.0, "center_x": 0.0, "center_y": 0.0, "phi_G": 0.0, "scale": scale}]
    theirs = LightModel(["INTERPOL"]).surface_brightness(x, y, settings)
    ours = PixelSource(jnp.asarray(pixels), scale).brightness(x, y)
    np.testing.assert_allclose(ours * scale**2, theirs * scale**2, atol=1e-6)


@pytest.mark.parametrize("kind", ["bilinear", "cubic"])
def test_pixel_source_passes_through_its_pixels_and_vanishes_outside(kind):
    rng = np.random.default_rng(3)
    pixels = rng.normal(size=(6, 9))
    source = PixelSource(jnp.asarray(pixels), 0.2, 0.3, -0.1, interpolation=kind)
    x, y = PixelGrid((6, 9), 0.2).coordinates()
    np.testing.assert_allclose(source.brightness(x + 0.3, y - 0.1), pixels, atol=1e-12)
    assert float(source.brightness(jnp.asarray(5.0), jnp.asarray(0.0))) == 0.0
    slopes = jax.grad(lambda p: source.brightness(p[0], p[1]))(jnp.array([0.35, -0.13]))
    assert np.isfinite(slopes).all()


def test_cubic_interpolation_is_exact_for_quadratics_and_smooth():
    x, y = PixelGrid((15, 15), 0.2).coordinates()
    source = PixelSource(jnp.asarray(1 + 2 * x - y + x**2 - 0.5 * x * y), 0.2, interpolation="cubic")
    u, v = np.random.default_rng(4).uniform(-1.0, 1.0, (2, 100))
    np.testing.assert_allclose(source.brightness(u, v), 1 + 2 * u - v + u**2 - 0.5 * u * v, atol=1e-12)
    slope = jax.vmap(jax.grad(source.brightness), (0, None))
    at_node = slope(jnp.array([0.2 - 1e-9, 0.2 + 1e-9]), jnp.array(0.13))
    assert float(at_node[0]) == pytest.approx(float(at_node[1]), abs=1e-6)


def test_pixel_source_is_checked(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the tests' own check would come first
    with pytest.raises(ValueError, match="two pixels"):
        PixelSource(jnp.zeros((1, 5)), 0.1)
    with pytest.raises(ValueError, match="bilinear"):
        PixelSource(jnp.zeros((5, 5)), 0.1, interpolation="spline")


def found(images):
    points = np.stack([images.x, images.y], axis=1)[np.asarray(images.is_image)]
    return points[np.argsort(points[:, 0])]


solve = jax.jit(lambda mass, x, y: image_positions(mass, x, y, half_width=3.0))


def test_published_images():
    expected = [(-0.57514, 1.14478826), (1.18958336, -0.45003668), (1.10758459, 0.50337892), (-0.64557474, -0.81248715)]
    images = solve(lens(), 0.05, 0.08)
    np.testing.assert_allclose(found(images), sorted(expected), atol=1e-7)
    # In order of arrival: both minima come before the saddle points.
    assert list(np.sign(magnification(lens(), images.x[:4], images.y[:4]))) == [1, 1, -1, -1]


@pytest.mark.parametrize("beta", [(0.05, 0.08), (0.3, -0.2), (0.01, 0.0), (0.7, 0.6), (-0.25, 0.1)])
def test_images_equal_lenstronomys(beta):
    theirs = np.transpose(
        LensEquationSolver(LensModel(["EPL", "SHEAR"])).image_position_from_source(
            *beta, [MASS, SHEAR], min_distance=0.02, search_window=6.0, precision_limit=1e-12
        )
    )
    theirs = theirs[np.hypot(*(theirs - [0.02, -0.03]).T) > 1e-3]  # not at the singular centre
    np.testing.assert_allclose(found(solve(lens(), *beta)), theirs[np.argsort(theirs[:, 0])], atol=1e-6)


def test_images_have_implicit_derivatives_and_batch():
    def first(theta_E, gamma, beta_x):
        mass = Companions((PowerLaw(theta_E, gamma, E1, E2, 0.02, -0.03), ExternalShear(**SHEAR)))
        images = image_positions(mass, beta_x, 0.08, half_width=3.0)
        return jnp.stack([images.x, images.y])[:, :4]

    at = (1.2, 2.1, 0.05)
    exact = jax.jit(jax.jacrev(first, argnums=(0, 1, 2)))(*at)
    compiled = jax.jit(first)
    for i in range(3):
        up, down = (compiled(*(a + s * 1e-5 * (j == i) for j, a in enumerate(at))) for s in (1, -1))
        np.testing.assert_allclose(exact[i], (up - down) / 2e-5, atol=1e-5)
    betas = jnp.linspace(-0.3, 0.3, 6)
    together = jax.jit(jax.vmap(lambda b: image_positions(lens(), b, 0.08, half_width=3.0)))(betas)
    for i, beta in enumerate(betas):
        np.testing.assert_allclose(together.x[i], solve(lens(), beta, 0.08).x, atol=1e-9)
    assert set(np.asarray(together.is_image.sum(1)).tolist()) <= {2, 4}


def test_every_image_solves_the_lens_equation():
    mass = Companions((SIE(1.0, 0.2, 0.1), SIE(0.3, 0.0, 0.0, 1.1, 0.4), ExternalShear(0.05, 0.0)))
    images = jax.jit(lambda m: image_positions(m, 0.1, 0.02, half_width=3.0, num_grid=200, max_images=8))(mass)
    x, y = (np.asarray(a)[np.asarray(images.is_image)] for a in (images.x, images.y))
    assert len(x) >= 4
    beta = ray_trace(mass, x, y)
    np.testing.assert_allclose(beta, np.broadcast_to([[0.1], [0.02]], (2, len(x))), atol=1e-9)


def test_image_search_is_checked():
    with pytest.raises(ValueError, match="half_width=-1"):
        image_positions(lens(), 0.0, 0.0, half_width=-1.0)


def test_delays_equal_lenstronomy():
    images = solve(lens(), 0.05, 0.08)
    x, y = images.x[:4], images.y[:4]
    theirs = LensModel(["EPL", "SHEAR"])
    expected = theirs.fermat_potential(np.asarray(x), np.asarray(y), [MASS, SHEAR], x_source=0.05, y_source=0.08)
    fermat = fermat_potential(lens(), x, y, 0.05, 0.08)
    np.testing.assert_allclose(fermat, expected, atol=1e-6)
    assert np.all(np.diff(fermat) > 0)
    D_dt = float(time_delay_distance(0.5, 1.5, Cosmology(H0=70.0, Omega_m=0.3)))
    cosmo = LensCosmo(0.5, 1.5, cosmo=FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0))
    assert D_dt == pytest.approx(cosmo.ddt, rel=1e-6)
    # Of lenstronomy's constants the astronomical unit and the day agree, the speed of light is rounded.
    np.testing.assert_allclose(arrival_time(fermat, D_dt), cosmo.time_delay_units(np.asarray(fermat)), rtol=1e-6)


@pytest.mark.parametrize("Omega_k", [0.1, -0.1])
def test_time_delay_distance_in_curved_universes(Omega_k):
    cosmo = LensCosmo(0.4, 1.7, cosmo=LambdaCDM(H0=70.0, Om0=0.3, Ode0=0.7 - Omega_k, Tcmb0=0))
    D_dt = time_delay_distance(0.4, 1.7, Cosmology(H0=70.0, Omega_m=0.3, Omega_k=Omega_k))
    assert float(D_dt) == pytest.approx(cosmo.ddt, rel=1e-7)


def test_ellipticity_of_a_circle_is_nought():
    assert [float(e) for e in ellipticity(1.0, 0.7)] == [0.0, 0.0]
