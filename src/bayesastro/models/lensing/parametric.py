"""A galaxy that lenses another: power-law mass with shear, Sérsic light, one image.

Priors follow GIGA-Lens, widened where theirs describe a simulation (named in `program`). Amplitudes of light are
linear: they have a Gaussian prior about zero and are integrated out exactly (see
:mod:`bayesastro.models.lensing.linear_light`), so that evidence, simulations and calibration are those of the full
program. Those of one or two sources are positive. `light_of` gives them back, with the images of all parts, for draws of
the parameters.

References
----------
Gu et al. (2022), ApJ 935, 49, arXiv:2202.07663 (GIGA-Lens: model, priors);
Cao et al. (2025), arXiv:2503.08586 (the SLACS lenses with linear amplitudes).
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float

from bayesastro.models.lensing.checks import check_image
from bayesastro.models.lensing.galaxy_light import galaxy_shapes
from bayesastro.models.lensing.linear_light import FixedLight, LinearLight, no_fixed_light, orthogonal
from bayesastro.problem import Problem
from bayesastro.simulators.lensing import (
    Companions,
    ExternalShear,
    Light,
    PixelGrid,
    PowerLaw,
    Sersic,
    convolved,
    lensed,
    order_for,
    supersampled,
)
from bayesastro.simulators.lensing.light import CORE
from bayesastro.units import in_unit, said_unit

__all__ = ["LightParts", "build", "lens_of", "light_of", "program"]

ORDER = order_for(q_min=0.3, tolerance=1e-8)
"""Of the power law's approximant: axis ratios below 0.3 are five sigma out in the prior."""


CORE_OF_RAYS = 0.4
"""Default core radius of light, in distances of rays in the image."""

ANGLES = {
    "theta_E": "arcsec",
    **{f"{name}_{field}": "arcsec" for name in ("lens", "light", "source", "source2") for field in ("x", "y", "R")},
}


def program(
    noise: Float[Array, "ny nx"],
    psf: Float[Array, "py px"],
    mask: Bool[Array, "ny nx"],
    scale: Float[Array, " 3"],
    fixed: FixedLight,
    *,
    pixel_scale: float,
    isothermal: bool = False,
    has_shear: bool = True,
    num_lens_lights: int = 1,
    num_sources: int = 1,
    positive_sources: bool = True,
    supersampling: int = 2,
    light_core: float = CORE,
) -> None:
    """An image of a lensed galaxy.

    Of GIGA-Lens' priors those of sizes and indices of light are wider here: log-radii have a spread of 0.5 instead of
    0.15, lens light n between 0.5 and 8 instead of 2 and 6, and ellipticities of light a spread of 0.2 instead of 0.1
    and 0.15, up to 0.5 and, for sources, 0.7. That of the mass is cut at 0.5, five of its standard deviations, so that no
    optimiser leaves the ellipses.

    Parameters
    ----------
    noise : array, shape (ny, nx)
        Standard deviations of the pixels.
    psf : array, shape (py, px)
    mask : array of bool, shape (ny, nx)
        True where the image is used.
    scale : array, shape (3,)
        Prior standard deviations of surface brightness: lens light and source at their effective radii, and sky.
    fixed : FixedLight
        Light of fixed shapes and free amplitudes.
    pixel_scale : float [arcsec]
    isothermal : bool
        Whether the slope of the mass is 2 and not a parameter.
    has_shear : bool
    num_lens_lights, num_sources : int
        Numbers of Sérsic profiles.
    positive_sources : bool
        Whether sources have no negative brightness: half-normal priors in place of normal ones.
    supersampling : int
        Rays along each side of a pixel.
    light_core : float [arcsec]
        Core radius of the Sérsic profiles.
    """
    parameters = {
        name: numpyro.sample(name, prior)
        for name, prior in _priors(isothermal, has_shear, num_lens_lights, num_sources).items()
    }
    numbers = num_lens_lights, num_sources
    shapes = _shapes(parameters, noise.shape, psf, scale, pixel_scale, numbers, supersampling, light_core)
    numpyro.deterministic("lens_q", _axis_ratio(parameters["lens_e1"], parameters["lens_e2"]))
    positive = _positive(num_lens_lights, num_sources, positive_sources)
    numpyro.sample("image", LinearLight(jnp.zeros_like(noise), noise, shapes, fixed, mask, positive))


def _positive(num_lens_lights: int, num_sources: int, positive_sources: bool) -> tuple[int, ...]:
    """Which of the shapes have positive amplitudes."""
    return tuple(range(num_lens_lights, num_lens_lights + num_sources)) if positive_sources else ()


def _priors(isothermal: bool, has_shear: bool, num_lens_lights: int, num_sources: int) -> dict[str, dist.Distribution]:
    """Angles in arcseconds."""
    priors: dict[str, dist.Distribution] = {
        "theta_E": dist.LogNormal(np.log(1.25), 0.25),
        **({} if isothermal else {"gamma": dist.TruncatedNormal(2.0, 0.25, low=1.0, high=3.0)}),
        "lens_e1": dist.TruncatedNormal(0.0, 0.1, low=-0.5, high=0.5),
        "lens_e2": dist.TruncatedNormal(0.0, 0.1, low=-0.5, high=0.5),
        "lens_x": dist.Normal(0.0, 0.05),
        "lens_y": dist.Normal(0.0, 0.05),
        **({name: dist.Normal(0.0, 0.05) for name in ("gamma1", "gamma2")} if has_shear else {}),
    }
    for name in _names("light", num_lens_lights):
        priors |= {
            f"{name}_R": dist.LogNormal(0.0, 0.5),
            f"{name}_n": dist.Uniform(0.5, 8.0),
            f"{name}_e1": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
            f"{name}_e2": dist.TruncatedNormal(0.0, 0.2, low=-0.5, high=0.5),
            f"{name}_x": dist.Normal(0.0, 0.05),
            f"{name}_y": dist.Normal(0.0, 0.05),
        }
    for name in _names("source", num_sources):
        priors |= {
            f"{name}_R": dist.LogNormal(np.log(0.25), 0.5),
            f"{name}_n": dist.Uniform(0.5, 4.0),
            f"{name}_e1": dist.TruncatedNormal(0.0, 0.2, low=-0.7, high=0.7),
            f"{name}_e2": dist.TruncatedNormal(0.0, 0.2, low=-0.7, high=0.7),
            f"{name}_x": dist.Normal(0.0, 0.25),
            f"{name}_y": dist.Normal(0.0, 0.25),
        }
    return priors


def _names(kind: str, number: int) -> list[str]:
    return [kind, *(f"{kind}{i}" for i in range(2, number + 1))][:number]


def _axis_ratio(e1: Any, e2: Any) -> Array:
    e = jnp.sqrt(e1**2 + e2**2 + 1e-30)  # finite derivatives at the circle, which nothing here is evaluated at
    return (1.0 - e) / (1.0 + e)


def lens_of(parameters: Mapping[str, Any]) -> Companions:
    """The mass for one draw of the parameters, by name; isothermal without a slope among them, and alone without shear."""
    p = parameters
    galaxy = PowerLaw(p["theta_E"], p.get("gamma", 2.0), p["lens_e1"], p["lens_e2"], p["lens_x"], p["lens_y"], ORDER)
    return Companions((galaxy, *((ExternalShear(p["gamma1"], p["gamma2"]),) if "gamma1" in p else ())))


def _sersic(parameters: Mapping[str, Any], name: str, core: float) -> Light:
    return Sersic(*(parameters[f"{name}_{field}"] for field in ("R", "n", "e1", "e2", "x", "y")), core=core)


def _shapes(
    parameters: Mapping[str, Any],
    shape: tuple[int, ...],
    psf: Array,
    scale: Array,
    pixel_scale: float,
    numbers: tuple[int, int],
    supersampling: int,
    light_core: float,
) -> Float[Array, "k ny nx"]:
    """Lens lights, lensed sources and sky, for amplitudes of one prior standard deviation."""
    x, y = (jnp.asarray(a, psf.dtype) for a in PixelGrid((shape[0], shape[1]), pixel_scale).coordinates())
    lens = lens_of(parameters)
    lights, sources = (
        [_sersic(parameters, name, light_core).brightness for name in _names(kind, number)]
        for kind, number in zip(("light", "source"), numbers, strict=True)
    )
    views = [(scale[0], light) for light in lights] + [(scale[1], lensed(source, lens)) for source in sources]
    images = [unit * convolved(supersampled(view, pixel_scale, supersampling), psf)(x, y) for unit, view in views]
    return jnp.stack([*images, scale[2] * jnp.ones_like(x)])


class LightParts(NamedTuple):
    """What an image is made of, for one draw of the parameters."""

    lens: Float[np.ndarray, "ny nx"]
    """Lens light: Sérsic profiles and fixed shapes."""
    source: Float[np.ndarray, "ny nx"]
    """Lensed sources as observed."""
    sky: float
    amplitudes: Float[np.ndarray, " k"]
    """Surface brightness at the effective radii of lens lights and sources."""

    @property
    def model(self) -> Float[np.ndarray, "ny nx"]:
        return self.lens + self.source + self.sky


def light_of(problem: Problem, parameters: Mapping[str, Any], *, key: jax.Array | None = None) -> LightParts:
    """The light given one draw of the parameters and the observed image: its posterior mean, or by `key` a draw.

    Parameters
    ----------
    problem : Problem
        From `build`.
    parameters : mapping of str to scalar
        Those of the program, by name.
    """
    args, settings = problem.static_program.arguments(problem.data.arrays)
    noise, psf, mask, scale, fixed = args
    lenses, sources = settings["num_lens_lights"], settings["num_sources"]
    pixel_scale, supersampling = settings["pixel_scale"], settings["supersampling"]
    positive = _positive(lenses, sources, settings["positive_sources"])
    with jax.enable_x64(True):
        priors = _priors(settings["isothermal"], settings["has_shear"], lenses, sources)
        draw = {name: jnp.asarray(parameters[name], float) for name in priors}
        numbers, core = (lenses, sources), settings["light_core"]
        shapes = _shapes(draw, noise.shape, jnp.asarray(psf), scale, pixel_scale, numbers, supersampling, core)
        light = LinearLight(jnp.zeros_like(noise), noise, shapes, fixed, mask, positive)
        amplitudes, smooth = light.amplitudes(problem.observed["image"], key)
        images = np.asarray(amplitudes[:, None, None] * shapes)
        smooth, amplitudes = np.asarray(smooth), np.asarray(amplitudes)
    units = np.repeat(np.asarray(scale)[:2], (lenses, sources))
    return LightParts(
        lens=images[:lenses].sum(0) + smooth,
        source=images[lenses:-1].sum(0),
        sky=float(images[-1, 0, 0]),
        amplitudes=amplitudes[:-1] * units,
    )


def build(
    image: Float[np.ndarray, "ny nx"],
    noise: Float[np.ndarray, "ny nx"],
    psf: Float[np.ndarray, "py px"],
    pixel_scale: float,
    *,
    mask: Bool[np.ndarray, "ny nx"] | None = None,
    mass: Literal["power_law", "isothermal"] = "power_law",
    shear: bool = True,
    lens_light: Literal["sersic", "smooth", "subtracted"] = "sersic",
    num_sources: int = 1,
    positive_sources: bool = True,
    supersampling: int = 2,
    light_core: float | None = None,
) -> Problem:
    """The program with an image.

    The prior scales of the amplitudes are empirical: the 99.5th percentile of the used pixels for lens light, the
    median plus three times the spread of the pixels beyond the innermost for the source, and half the median for sky.

    Parameters
    ----------
    image : array, shape (ny, nx)
        The lens near the middle; rows along y, columns along x. Any unit of surface brightness; results carry a quantity's.
    noise : array, shape (ny, nx)
    psf : array, shape (py, px)
        On the pixels of the image, of odd sides and unit sum.
    pixel_scale : float [arcsec]
    mask : array of bool, shape (ny, nx), optional
        True where the image is used; by default everywhere. Elsewhere image and noise may be anything.
    mass : {"power_law", "isothermal"}
        An ellipsoid of any slope, or of slope 2 as those of which Einstein radii are commonly published.
    shear : bool
        Whether there is one from outside; many a published model has none.
    lens_light : {"sersic", "smooth", "subtracted"}
        A Sérsic profile; a basis for any smooth galaxy (:mod:`bayesastro.models.lensing.galaxy_light`); or none.
    num_sources : int
    positive_sources : bool
        Whether sources have no negative brightness, for at most two. With free shapes for the lens's light, or two
        sources, light that subtracts fits many an image better than a lens does.
    supersampling : int
    light_core : float [arcsec], optional
        Core radius of the Sérsic profiles; by default 0.4 of the distance of rays, with which twice as many rays change the
        log-density of an HST image of cuspy sources by hundredths. Without a core they change it by several, and where
        rays fall makes the density of places so rough that NUTS takes five times the leapfrog steps.

    Raises
    ------
    ValueError
        If shapes differ, a used pixel or its noise is not finite, a noise is not positive, the point-spread function has
        an even side, negative sum or is not normalised, no pixel is used, or more than two sources are to be positive.
    """
    brightness = said_unit(image)
    image, noise = in_unit(image, brightness, "image").copy(), in_unit(noise, brightness, "noise").copy()
    psf, pixel_scale = np.array(psf, float), float(in_unit(pixel_scale, "arcsec", "pixel_scale"))
    mask = np.ones(image.shape, bool) if mask is None else np.asarray(mask)
    check_image(image, noise, psf, mask, pixel_scale)
    _check_settings(mass, lens_light, num_sources, supersampling)
    image, noise = np.where(mask, image, 0.0), np.where(mask, noise, 1.0)
    if lens_light == "smooth":
        fixed = orthogonal(galaxy_shapes(image, mask, pixel_scale), noise, mask)
    else:
        fixed = no_fixed_light(image.shape)
    return Problem(
        program,
        noise,
        psf,
        mask,
        _scales(image, noise, mask, pixel_scale),
        fixed,
        pixel_scale=pixel_scale,
        isothermal=mass == "isothermal",
        has_shear=shear,
        num_lens_lights=int(lens_light == "sersic"),
        num_sources=num_sources,
        positive_sources=positive_sources,
        supersampling=supersampling,
        light_core=_core(light_core, pixel_scale / supersampling),
        observed={"image": image},
    ).with_units(ANGLES | ({"image": brightness, "noise": brightness} if brightness else {}))


def _check_settings(mass: str, lens_light: str, num_sources: int, supersampling: int) -> None:
    if mass not in ("power_law", "isothermal"):
        raise ValueError(f'`mass` must be "power_law" or "isothermal", but {mass!r} came.')
    if lens_light not in ("sersic", "smooth", "subtracted"):
        raise ValueError(f'`lens_light` must be "sersic", "smooth" or "subtracted", but {lens_light!r} came.')
    if num_sources < 1 or supersampling < 1:
        raise ValueError(
            f"`num_sources` and `supersampling` must be at least 1, but {num_sources} and {supersampling} came."
        )


def _core(light_core: float | None, ray_distance: float) -> float:
    core = CORE_OF_RAYS * ray_distance if light_core is None else float(in_unit(light_core, "arcsec", "light_core"))
    if not core > 0:
        raise ValueError(f"`light_core` must be a positive radius in arcsec, but {core} came.")
    return core


def _scales(image: np.ndarray, noise: np.ndarray, mask: np.ndarray, pixel_scale: float) -> np.ndarray:
    x, y = PixelGrid((image.shape[0], image.shape[1]), pixel_scale).coordinates()
    beyond = mask & (np.hypot(x, y) > 0.5)
    outer = image[beyond] if beyond.any() else image[mask]
    typical = float(np.median(noise[mask]))
    return np.array(
        [
            max(np.quantile(image[mask], 0.995), 10 * typical),
            max(np.median(outer) + 3 * np.std(outer), 10 * typical),
            max(0.5 * abs(np.median(outer)), typical),
        ]
    )
