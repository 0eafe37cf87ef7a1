"""Small lenses with known truth, simulated by lenstronomy, for tests of lens programs."""

import numpy as np
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel

from bayesastro.models.lensing import parametric
from bayesastro.problem import Problem

TRUTH = {
    "theta_E": 1.0,
    "gamma": 2.1,
    "lens_e1": 0.08,
    "lens_e2": -0.05,
    "lens_x": 0.02,
    "lens_y": -0.01,
    "gamma1": 0.03,
    "gamma2": -0.02,
    "light_R": 0.8,
    "light_n": 2.5,
    "light_e1": 0.1,
    "light_e2": -0.05,
    "light_x": 0.01,
    "light_y": 0.0,
    "source_R": 0.2,
    "source_n": 1.3,
    "source_e1": 0.1,
    "source_e2": 0.15,
    "source_x": 0.08,
    "source_y": -0.12,
}


def gaussian_psf(size: int = 5, sigma: float = 0.9) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    psf = np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    return psf / psf.sum()


def shapes(theta: dict[str, float], size: int, scale: float, psf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lens light and lensed source of unit surface brightness at their effective radii, by lenstronomy."""
    corner = -0.5 * (size - 1) * scale
    data = ImageData(
        np.zeros((size, size)),
        1.0,
        1.0,
        ra_at_xy_0=corner,
        dec_at_xy_0=corner,
        transform_pix2angle=scale * np.eye(2),
    )

    def sersic(name: str) -> list[dict[str, float]]:
        names = {"R_sersic": "R", "n_sersic": "n", "e1": "e1", "e2": "e2", "center_x": "x", "center_y": "y"}
        return [{"amp": 1.0} | {theirs: theta[f"{name}_{ours}"] for theirs, ours in names.items()}]

    mass = [
        {"theta_E": theta["theta_E"], "gamma": theta["gamma"], "e1": theta["lens_e1"], "e2": theta["lens_e2"]}
        | {"center_x": theta["lens_x"], "center_y": theta["lens_y"]},
        {"gamma1": theta["gamma1"], "gamma2": theta["gamma2"]},
    ]
    model = ImageModel(
        data,
        PSF("PIXEL", kernel_point_source=psf),
        LensModel(["EPL", "SHEAR"]),
        source_model_class=LightModel(["SERSIC_ELLIPSE"]),
        lens_light_model_class=LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": 2},
    )
    source = model.image(mass, sersic("source"), sersic("light"), lens_light_add=False)
    light = model.image(mass, sersic("source"), sersic("light"), source_add=False)
    return light / scale**2, source / scale**2


def small_lens(lens_light: str = "sersic", size: int = 26, scale: float = 0.12, **settings) -> Problem:
    """A lens of `size` × `size` pixels: lens light of 1, source of 2, sky of 0.1 and noise of 0.1; cusps as lenstronomy's."""
    settings = {"light_core": 1e-5} | settings
    psf = gaussian_psf()
    light, source = shapes(TRUTH, size, scale, psf)
    image = 2.0 * source + 0.1 + (light if lens_light != "subtracted" else 0.0)
    image = image + 0.1 * np.random.default_rng(1).normal(size=image.shape)
    return parametric.build(image, np.full(image.shape, 0.1), psf, scale, lens_light=lens_light, **settings)
