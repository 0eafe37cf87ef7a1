"""Images that the program of Euclid-like lenses describes, by lenstronomy."""

import numpy as np
from lenses import gaussian_psf
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from scipy import integrate, signal

from bayesastro.models.lensing import euclid
from bayesastro.problem import Problem

ZERO_POINT, SKY_NOISE, EXPOSURE = 24.6, 0.0044, 3400.0

TRUTH = {
    "theta_E": 1.0,
    "lens_e1": 0.08,
    "lens_e2": -0.05,
    "lens_x": 0.03,
    "lens_y": -0.02,
    "gamma1": 0.03,
    "gamma2": -0.02,
    "light_magnitude": 19.5,
    "light_R": 0.8,
    "light_n": 3.5,
    "light_e1": 0.1,
    "light_e2": -0.05,
    "source_magnitude": 23.5,
    "source_R": 0.2,
    "source_n": 1.3,
    "source_e1": 0.1,
    "source_e2": 0.15,
    "source_x": 0.15,
    "source_y": -0.12,
    "sky": 0.001,
}
"""Without neighbours."""

OUTER = {"outer_gap": 0.3, "outer_excess": 1.4, "outer_n": 1.2, "outer_e1": -0.1, "outer_e2": 0.12}


def with_neighbours(places: np.ndarray, radii: tuple[float, float]) -> dict[str, np.ndarray]:
    """Parameters of two neighbours of magnitudes 22 and 24.5 at places [arcsec] of shape (2, 2)."""
    r = np.hypot(*places.T)
    share = (r**2 - radii[0] ** 2) / (radii[1] ** 2 - radii[0] ** 2)
    normal = np.sqrt(-2 * np.log(1 - share))[:, None] * places / r[:, None]
    return {"companion_gap": np.array([1.5, 2.5]), "companion_R": np.array([0.3, 0.2]), "companion_place": normal}


def amplitude(magnitude: float, R: float, n: float) -> float:
    """Surface brightness at the effective radius, from the integral over the profile."""
    b = 1.9992 * n - 0.3271
    total, _ = integrate.quad(lambda u: np.exp(-b * (np.exp(u / n) - 1)) * np.exp(2 * u), -40, 40, limit=400)
    return 10 ** (-0.4 * (magnitude - ZERO_POINT)) / (2 * np.pi * R**2 * total)


def image_by_lenstronomy(theta: dict, places: np.ndarray, size: int, scale: float, psf: np.ndarray) -> np.ndarray:
    """The mean image, neighbours at `places` with the radii and magnitudes of `with_neighbours`."""
    corner = -0.5 * (size - 1) * scale
    grid = {"ra_at_xy_0": corner, "dec_at_xy_0": corner, "transform_pix2angle": scale * np.eye(2)}
    data = ImageData(np.zeros((size, size)), 1.0, 1.0, **grid)

    def sersic(name: str, place: str) -> dict[str, float]:
        R, n = theta[f"{name}_R"], theta[f"{name}_n"]
        return {
            "amp": amplitude(theta[f"{name}_magnitude"], R, n),
            "R_sersic": R,
            "n_sersic": n,
            "e1": theta[f"{name}_e1"],
            "e2": theta[f"{name}_e2"],
            "center_x": theta[f"{place}_x"],
            "center_y": theta[f"{place}_y"],
        }

    others = [
        {
            "amp": amplitude(m, R, 1.0),
            "R_sersic": R,
            "n_sersic": 1.0,
            "e1": 0.0,
            "e2": 0.0,
            "center_x": x,
            "center_y": y,
        }
        for m, R, (x, y) in zip((22.0, 24.5), (0.3, 0.2), places, strict=False)
    ]
    centre = {"x": theta["lens_x"], "y": theta["lens_y"]}
    mass = [
        {"theta_E": theta["theta_E"], "e1": theta["lens_e1"], "e2": theta["lens_e2"]}
        | {f"center_{axis}": value for axis, value in centre.items()},
        {"gamma1": theta["gamma1"], "gamma2": theta["gamma2"], "ra_0": centre["x"], "dec_0": centre["y"]},
    ]

    def image(lights: list, sources: list, factor: int) -> np.ndarray:
        model = ImageModel(
            data,
            PSF("NONE"),
            LensModel(["SIE", "SHEAR"]),
            source_model_class=LightModel(["SERSIC_ELLIPSE"] * len(sources)),
            lens_light_model_class=LightModel(["SERSIC_ELLIPSE"] * len(lights)),
            kwargs_numerics={"supersampling_factor": factor},
        )
        return model.image(mass, sources, lights)

    galaxy = [sersic("light", "lens")]
    if "outer_gap" in theta:
        theta = theta | {
            "outer_magnitude": theta["light_magnitude"] + theta["outer_gap"],
            "outer_R": theta["light_R"] * (1 + theta["outer_excess"]),
        }
        galaxy.append(sersic("outer", "lens"))
    light = image(galaxy, [], 2)
    middle = slice(size // 2 - 6, size // 2 + 6)
    light[middle, middle] = image(galaxy, [], 8)[middle, middle]
    light += image(others, [sersic("source", "source")], 2)
    return signal.convolve2d(light, psf, mode="same") + theta["sky"]


def small_euclid(num_companions: int = 0, size: int = 26, scale: float = 0.12, **settings) -> Problem:
    """A small lens without noise, for the density; neighbours between 1.2 and 1.6 arcsec."""
    radii = (1.2, 1.6)
    image = image_by_lenstronomy(TRUTH, np.zeros((0, 2)), size, scale, gaussian_psf())
    noise = euclid.NoiseLevels(SKY_NOISE, EXPOSURE)
    return euclid.build(
        image,
        noise,
        gaussian_psf(),
        scale,
        ZERO_POINT,
        num_companions=num_companions,
        companion_radii=radii,
        **settings,
    )
