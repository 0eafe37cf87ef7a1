"""Space-based images of lensed galaxies with nothing integrated out: the program that a neural posterior learns.

An isothermal ellipsoid with shear, Sérsic light of lens and source, neighbours, sky, and noise of sky and photons. In
contrast to `parametric` all brightnesses are magnitudes with priors that describe a population, so that simulations
look like a survey, here that of Euclid's visible band: 100 × 100 pixels of 0.1 arcsec. Point-spread function, noise
and mask are those of an exposure and are arguments; what is learnt holds for them.

Priors are those of the lenses that a search finds, widened: Einstein radii and the Sérsic indices follow LEMON,
magnitudes and sizes span the lenses of Euclid's first quick release.

References
----------
Gentile et al. (2023), MNRAS 522, 5442 (LEMON); Busillo et al. (2025), arXiv:2503.15329 (LEMON on Euclid's lenses);
Walmsley et al. (2025), arXiv:2503.15324 (the lenses); Schuldt et al. (2023), A&A 671, A147, arXiv:2206.11279
(HOLISMOKES IX: noise, external shear).
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, ScalarLike

from bayesastro.models.lensing.checks import check_image
from bayesastro.problem import Problem
from bayesastro.simulators.convolution import convolved_image
from bayesastro.simulators.lensing import (
    SIE,
    Companions,
    ExternalShear,
    PixelGrid,
    Sersic,
    lensed,
    order_for,
    sersic_flux,
    supersampled,
)
from bayesastro.simulators.lensing.imaging import View
from bayesastro.simulators.lensing.mass import Position
from bayesastro.units import in_unit

__all__ = ["NoiseLevels", "build", "lens_of", "mean_image", "noise_levels", "program", "source_of"]

ORDER = order_for(q_min=0.28, tolerance=1e-8)
"""Of the isothermal ellipsoid's approximant: the prior has no flatter ones."""

CORE_HALF, CORE_SUPERSAMPLING = 6, 8
"""Pixels to either side of the middle, and rays along a pixel, by which lens light is averaged: its cusp is steep."""

NUM_TURNS = 20
"""Of finding the noise of sky and light, each given the other."""

SOURCE_SPREAD = 0.35
"""Prior spread of the source's position, in Einstein radii."""


UNITS = {
    **dict.fromkeys(
        ("theta_E", "lens_x", "lens_y", "source_x", "source_y", "light_R", "source_R", "companion_R"), "arcsec"
    ),
    **dict.fromkeys(("light_magnitude", "source_magnitude", "outer_gap", "companion_gap"), "mag"),
}


class NoiseLevels(NamedTuple):
    """Noise of an exposure: variance = sky² + light / exposure."""

    sky: Float[np.ndarray, "ny nx"] | float
    """Standard deviation without light, in the unit of the image; of every pixel, or one for all."""
    exposure: float
    """Photons for a unit of the image."""


def noise_levels(
    image: Float[np.ndarray, "ny nx"], rms: Float[np.ndarray, "ny nx"], mask: Bool[np.ndarray, "ny nx"] | None = None
) -> NoiseLevels:
    """The noise that a pipeline's map of standard deviations tells of.

    A map says what the noise is given the light that was observed; a program needs to know what it would be given
    other light. The sky's is the median over the fainter half of the pixels without the noise of their light, which
    is the median over bright pixels without the sky's.

    Parameters
    ----------
    image, rms : arrays, shape (ny, nx)
    mask : array of bool, shape (ny, nx), optional
        True where the image is used.

    Raises
    ------
    ValueError
        If fewer than ten used pixels are bright enough, or have no more noise than the sky.
    """
    used = np.isfinite(image) & np.isfinite(rms) & (True if mask is None else mask)
    light, variance = np.asarray(image, float)[used], np.asarray(rms, float)[used] ** 2
    faint = light <= np.median(light)
    bright = light > 10 * np.sqrt(np.median(variance[faint]))
    sky2, slope = float(np.median(variance[faint])), 0.0
    for _ in range(NUM_TURNS if bright.sum() >= 10 else 0):
        slope = float(np.median((variance[bright] - sky2) / light[bright]))
        sky2 = float(np.median(variance[faint] - slope * np.maximum(light[faint], 0.0)))
    if not (slope > 0 and sky2 > 0):
        raise ValueError(
            f"`noise_levels` needs at least ten pixels brighter than ten times the sky's noise, and noisier, but of "
            f"{int(bright.sum())} such the slope of the variance is {slope:.3g}. Say what the levels are."
        )
    return NoiseLevels(float(np.sqrt(sky2)), 1.0 / slope)


def program(
    sky_noise: Float[Array, "ny nx"],
    exposure: ScalarLike,
    psf: Float[Array, "py px"],
    mask: Bool[Array, "ny nx"],
    *,
    pixel_scale: float,
    zero_point: float,
    lens_light: Literal["sersic", "double"] = "sersic",
    num_companions: int = 2,
    companion_radii: tuple[float, float] = (3.0, 5.5),
    supersampling: int = 2,
) -> None:
    """An image of a lensed galaxy with its neighbours.

    Neighbours are round exponential discs: of faint ones no more than brightness, size and place can be told, and
    brighter ones are masked. Their number is fixed, and they are nuisances: those that are not needed are too faint to be
    seen, with broad posteriors, so that nothing is claimed to be known of them. The first is the brightest, and each is
    fainter than the one before by a positive gap, so that they cannot be exchanged. Places are spread evenly over a
    ring of `companion_radii` [arcsec], beyond the arcs; they are sampled as two standard normals (u, v), of which the
    direction is that of the place and 1 - exp(-(u² + v²)/2) the part of the ring's area within its radius. This has
    neither a seam nor an edge. A neighbour's own deflection is left to the shear.

    Parameters
    ----------
    sky_noise : array, shape (ny, nx)
        Standard deviation of the noise where there is no light, in the unit of the image.
    exposure : scalar
        Photons for a unit of the image; from them, the noise of light.
    psf : array, shape (py, px)
    mask : array of bool, shape (ny, nx)
        True where the image is used.
    pixel_scale : float [arcsec]
    zero_point : float [mag]
        Magnitude of one unit of the image, summed over pixels.
    lens_light : {"sersic", "double"}
        One Sérsic profile, or a second, larger one about the same centre, without which the arcs of bright galaxies are
        spent on the difference between a galaxy and a Sérsic profile.
    num_companions : int
    companion_radii : (float, float) [arcsec]
    supersampling : int
        Rays along each side of a pixel.
    """
    draw = {name: numpyro.sample(name, prior) for name, prior in _priors().items()}
    if lens_light == "double":
        draw |= {name: numpyro.sample(name, prior) for name, prior in _outer_priors().items()}
    for axis in ("x", "y"):
        name = f"source_{axis}"
        draw[name] = numpyro.sample(name, dist.Normal(draw[f"lens_{axis}"], SOURCE_SPREAD * draw["theta_E"]))
    typical = jnp.median(sky_noise)
    draw["sky"] = numpyro.sample("sky", dist.Normal(0.0, 0.5 * typical))
    if num_companions:
        for name, prior in _companion_priors(num_companions).items():
            draw[name] = numpyro.sample(name, prior)
    mean = _mean(draw, sky_noise.shape, psf, pixel_scale, zero_point, companion_radii, supersampling)
    sd = jnp.sqrt(sky_noise**2 + jnp.maximum(mean, 0.0) / exposure)
    numpyro.sample("image", dist.Normal(mean, sd).mask(mask).to_event(2))


def _priors() -> dict[str, dist.Distribution]:
    """Angles in arcseconds, magnitudes of all light, that of the source without magnification."""
    return {
        "theta_E": dist.Uniform(0.4, 2.5),
        "lens_e1": dist.TruncatedNormal(0.0, 0.15, low=-0.4, high=0.4),
        "lens_e2": dist.TruncatedNormal(0.0, 0.15, low=-0.4, high=0.4),
        "lens_x": dist.Normal(0.0, 0.1),
        "lens_y": dist.Normal(0.0, 0.1),
        "gamma1": dist.Normal(0.0, 0.05),
        "gamma2": dist.Normal(0.0, 0.05),
        "light_magnitude": dist.Uniform(17.5, 22.0),
        "light_R": dist.LogNormal(0.0, 0.5),
        "light_n": dist.Uniform(0.5, 7.0),
        "light_e1": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
        "light_e2": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
        "source_magnitude": dist.Uniform(21.5, 26.0),
        "source_R": dist.LogNormal(np.log(0.25), 0.5),
        "source_n": dist.Uniform(0.5, 4.0),
        "source_e1": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
        "source_e2": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
    }


def _outer_priors() -> dict[str, dist.Distribution]:
    """Magnitude of the outer profile above that of the inner; the excess of the ratio of their radii over one."""
    return {
        "outer_gap": dist.Normal(0.0, 1.0),
        "outer_excess": dist.LogNormal(np.log(1.5), 0.6),
        "outer_n": dist.Uniform(0.5, 4.0),
        "outer_e1": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
        "outer_e2": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
    }


def _companion_priors(number: int) -> dict[str, dist.Distribution]:
    """The first gap is from magnitude 20.5."""
    return {
        "companion_gap": dist.LogNormal(np.log(2.5), 0.6).expand([number]).to_event(1),
        "companion_R": dist.LogNormal(np.log(0.3), 0.4).expand([number]).to_event(1),
        "companion_place": dist.Normal(0.0, 1.0).expand([number, 2]).to_event(2),
    }


def lens_of(parameters: Mapping[str, Any]) -> Companions:
    """The mass for one draw of the parameters, by name. Its centre is that of the lens light, and of the shear."""
    p = parameters
    galaxy = SIE(p["theta_E"], p["lens_e1"], p["lens_e2"], p["lens_x"], p["lens_y"], ORDER)
    return Companions((galaxy, ExternalShear(p["gamma1"], p["gamma2"], p["lens_x"], p["lens_y"])))


def source_of(parameters: Mapping[str, Any]) -> Sersic:
    """The source's light for one draw of the parameters, in 10^(-0.4 mag) / arcsec² for zero point 0."""
    return _sersic(parameters, "source", "source")


def _sersic(parameters: Mapping[str, Any], name: str, place: str) -> Sersic:
    """Light of a magnitude, for zero point 0."""
    p = parameters
    R, n = p[f"{name}_R"], p[f"{name}_n"]
    amplitude = 10 ** (-0.4 * p[f"{name}_magnitude"]) / sersic_flux(R, n)
    return Sersic(R, n, p[f"{name}_e1"], p[f"{name}_e2"], p[f"{place}_x"], p[f"{place}_y"], amplitude)


def _galaxy(parameters: Mapping[str, Any]) -> View:
    """Light of the lens, for zero point 0."""
    inner = _sersic(parameters, "light", "lens")
    if "outer_gap" not in parameters:
        return inner.brightness
    sizes = {
        "outer_magnitude": parameters["light_magnitude"] + parameters["outer_gap"],
        "outer_R": parameters["light_R"] * (1.0 + parameters["outer_excess"]),
    }
    outer = _sersic({**parameters, **sizes}, "outer", "lens")
    return lambda x, y: inner.brightness(x, y) + outer.brightness(x, y)


def _companions(parameters: Mapping[str, Any], radii: tuple[float, float]) -> list[Sersic]:
    if "companion_gap" not in parameters:
        return []
    magnitude = 20.5 + jnp.cumsum(parameters["companion_gap"])
    R, place = parameters["companion_R"], parameters["companion_place"]
    squared = jnp.sum(place**2, axis=-1) + 1e-30  # the place at 0, of no probability, has no direction
    share = -jnp.expm1(-0.5 * squared)
    radius = jnp.sqrt(radii[0] ** 2 + (radii[1] ** 2 - radii[0] ** 2) * share)
    x, y = (radius / jnp.sqrt(squared))[:, None].T * place.T
    flux = 10 ** (-0.4 * magnitude)
    return [
        Sersic(R[i], 1.0, center_x=x[i], center_y=y[i], amplitude=flux[i] / sersic_flux(R[i], 1.0))
        for i in range(magnitude.shape[0])
    ]


def _mean(
    parameters: Mapping[str, Any],
    shape: tuple[int, ...],
    psf: Array,
    pixel_scale: float,
    zero_point: float,
    radii: tuple[float, float],
    supersampling: int,
) -> Float[Array, "ny nx"]:
    """The image without noise."""
    grid = PixelGrid((shape[0], shape[1]), pixel_scale)
    x, y = (jnp.asarray(a, psf.dtype) for a in grid.coordinates())
    flux = 10 ** (0.4 * zero_point) * pixel_scale**2
    return convolved_image(flux * _light(parameters, x, y, pixel_scale, radii, supersampling), psf) + parameters["sky"]


def mean_image(problem: Problem, parameters: Mapping[str, Any]) -> Float[np.ndarray, "ny nx"]:
    """The image without noise for one draw of the parameters; for a fainter source or lens change its magnitude.

    Parameters
    ----------
    problem : Problem
        From `build`.
    parameters : mapping of str to array
        A value for each parameter.
    """
    settings = problem.settings
    names = ("pixel_scale", "zero_point", "companion_radii", "supersampling")
    with jax.enable_x64(True):
        values = {name: jnp.asarray(value, float) for name, value in parameters.items()}
        psf = jnp.asarray(problem.covariates["psf"])
        return np.asarray(_mean(values, problem.observed["image"].shape, psf, *(settings[name] for name in names)))


def _light(
    parameters: Mapping[str, Any],
    x: Array,
    y: Array,
    pixel_scale: float,
    radii: tuple[float, float],
    supersampling: int,
) -> Float[Array, "ny nx"]:
    """Surface brightness averaged over pixels, before the point-spread function, for zero point 0."""
    galaxy, source = _galaxy(parameters), source_of(parameters)
    others = _companions(parameters, radii)
    arcs: View = lensed(source.brightness, lens_of(parameters))

    def beyond(x: Position, y: Position) -> Position:
        return sum((other.brightness(x, y) for other in others), arcs(x, y))

    lens_light = jnp.asarray(supersampled(galaxy, pixel_scale, supersampling)(x, y))
    middle = tuple(slice(max(n // 2 - CORE_HALF, 0), n // 2 + CORE_HALF) for n in x.shape)
    fine = supersampled(galaxy, pixel_scale, CORE_SUPERSAMPLING)(x[middle], y[middle])
    return jnp.asarray(supersampled(beyond, pixel_scale, supersampling)(x, y)) + lens_light.at[middle].set(fine)


def build(
    image: Float[np.ndarray, "ny nx"],
    noise: NoiseLevels,
    psf: Float[np.ndarray, "py px"],
    pixel_scale: float,
    zero_point: float,
    *,
    mask: Bool[np.ndarray, "ny nx"] | None = None,
    lens_light: Literal["sersic", "double"] = "sersic",
    num_companions: int = 2,
    companion_radii: tuple[float, float] = (3.0, 5.5),
    supersampling: int = 2,
) -> Problem:
    """The program with an image.

    Parameters
    ----------
    image : array, shape (ny, nx)
        The lens near the middle; rows along y, columns along x.
    noise : NoiseLevels
        Those of the exposure; for an image with a map of standard deviations, `noise_levels`.
    psf : array, shape (py, px)
        On the pixels of the image, of odd sides and unit sum.
    pixel_scale : float [arcsec]
    zero_point : float [mag]
        Magnitude of one unit of the image.
    mask : array of bool, shape (ny, nx), optional
        True where the image is used; by default everywhere. Elsewhere the image may be anything.
    lens_light : {"sersic", "double"}
        One Sérsic profile or two.
    num_companions : int
        Neighbours that are not masked; 0 for none.
    companion_radii : (float, float) [arcsec]
        Between which distances from the middle they are.
    supersampling : int

    Raises
    ------
    ValueError
        If shapes differ, a used pixel or its noise is not finite, the sky's noise or the exposure is not positive, the
        point-spread function has an even side, or a sum other than 1, no pixel is used, or a setting makes no sense.
    """
    image, psf = np.array(image, float), np.array(psf, float)
    pixel_scale = float(in_unit(pixel_scale, "arcsec", "pixel_scale"))
    sky = np.array(noise.sky, float)
    sky = np.full(image.shape, float(sky)) if sky.ndim == 0 else sky
    mask = np.ones(image.shape, bool) if mask is None else np.asarray(mask)
    check_image(image, sky, psf, mask, pixel_scale, "noise.sky")
    if not (np.isfinite(noise.exposure) and noise.exposure > 0):
        raise ValueError(f"`noise.exposure` must be a positive number of photons, but {noise.exposure!r} came.")
    if not np.isfinite(zero_point):
        raise ValueError(f"`zero_point` must be a magnitude, but {zero_point!r} came.")
    if lens_light not in ("sersic", "double"):
        raise ValueError(f'`lens_light` must be "sersic" or "double", but {lens_light!r} came.')
    inner, outer = companion_radii
    if num_companions < 0 or supersampling < 1 or not 0 < inner < outer:
        raise ValueError(
            "`num_companions` must be at least 0, `supersampling` at least 1, and `companion_radii` two increasing "
            f"radii, but {num_companions}, {supersampling} and {companion_radii} came."
        )
    return Problem(
        program,
        np.where(mask, sky, np.median(sky[mask])),
        float(noise.exposure),
        psf,
        mask,
        pixel_scale=pixel_scale,
        zero_point=float(zero_point),
        lens_light=lens_light,
        num_companions=num_companions,
        companion_radii=(float(inner), float(outer)),
        supersampling=supersampling,
        observed={"image": np.where(mask, image, 0.0)},
    ).with_units(UNITS)
