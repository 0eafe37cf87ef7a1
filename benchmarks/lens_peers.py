"""The lensed galaxy of `benchmarks/lens_images.py` by herculens, lenstronomy and caustics."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

__all__ = ["caustics", "herculens", "lenstronomy"]

SIZE, SCALE, FACTOR = 100, 0.05, 2
"""Pixels along a side, their size in arcsec, and rays along that of each."""


def psf() -> np.ndarray:
    y, x = np.mgrid[-10:11, -10:11]
    kernel = np.exp(-0.5 * (x**2 + y**2) / 2.0**2)
    return kernel / kernel.sum()


def settings(p: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The arguments that herculens and lenstronomy share."""
    galaxy = dict(zip(("theta_E", "gamma", "e1", "e2", "center_x", "center_y"), p[:6], strict=True))
    source = dict(zip(("R_sersic", "n_sersic", "e1", "e2", "center_x", "center_y"), p[8:], strict=True))
    return [galaxy, {"gamma1": p[6], "gamma2": p[7], "ra_0": 0.0, "dec_0": 0.0}], [{"amp": 1.0} | source]


def herculens() -> Callable[[jax.Array], jax.Array]:
    """Its image, of flux by subpixel."""
    from herculens.Coordinates.pixel_grid import PixelGrid
    from herculens.Instrument.noise import Noise
    from herculens.Instrument.psf import PSF
    from herculens.LensImage.lens_image import LensImage
    from herculens.LightModel.light_model import LightModel
    from herculens.MassModel.mass_model import MassModel

    corner = -0.5 * (SIZE - 1) * SCALE
    model = LensImage(
        PixelGrid(nx=SIZE, ny=SIZE, ra_at_xy_0=corner, dec_at_xy_0=corner, transform_pix2angle=SCALE * np.eye(2)),
        PSF(psf_type="PIXEL", kernel_point_source=psf()),
        noise_class=Noise(SIZE, SIZE, background_rms=0.1, exposure_time=1000.0),
        lens_mass_model_class=MassModel(["EPL", "SHEAR"]),
        source_model_class=LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": FACTOR},
    )

    def image(p: jax.Array) -> jax.Array:
        lens, source = settings(p)
        return model.model(kwargs_lens=lens, kwargs_source=source)

    return image


def lenstronomy() -> Callable[[np.ndarray], np.ndarray]:
    """Its image, of flux by pixel."""
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    corner = -0.5 * (SIZE - 1) * SCALE
    data = ImageData(
        np.zeros((SIZE, SIZE)),
        1.0,
        1.0,
        ra_at_xy_0=corner,
        dec_at_xy_0=corner,
        transform_pix2angle=SCALE * np.eye(2),
    )
    model = ImageModel(
        data,
        PSF("PIXEL", kernel_point_source=psf()),
        LensModel(["EPL", "SHEAR"]),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": FACTOR},
    )
    return lambda p: model.image(*settings(p))


def caustics() -> tuple[Callable[[Any], Any], Any]:
    """Its image, of surface brightness, of a tensor of parameters, and PyTorch.

    It draws a border for the point-spread function, which is 1.44 times the rays, and puts them at the nodes of Gauss.
    """
    import caustics
    import torch

    torch.set_num_threads(1)
    cosmology = caustics.FlatLambdaCDM()
    masses = [
        caustics.EPL(cosmology=cosmology, name="galaxy"),
        caustics.ExternalShear(cosmology=cosmology, name="shear", x0=0.0, y0=0.0),
    ]
    lens = caustics.SinglePlane(cosmology=cosmology, lenses=masses, name="lens", z_l=0.5, z_s=1.0)
    source = caustics.Sersic(name="source", Ie=1.0, use_lenstronomy_k=True)
    model = caustics.LensSource(
        lens, source, pixelscale=SCALE, pixels_x=SIZE, quad_level=FACTOR, psf=torch.as_tensor(psf())
    ).to(dtype=torch.float64)

    def elliptical(e1: Any, e2: Any) -> tuple[Any, Any]:
        """Axis ratio and position angle."""
        length = torch.hypot(e1, e2)
        return (1 - length) / (1 + length), torch.atan2(e2, e1) / 2

    def image(p: Any) -> Any:
        (q, phi), (source_q, source_phi) = elliptical(p[2], p[3]), elliptical(p[10], p[11])
        galaxy = [p[4], p[5], q, phi, p[0], p[1] - 1]
        light = [p[12], p[13], source_q, source_phi, p[9], p[8] / torch.sqrt(source_q)]
        return model(torch.stack([*galaxy, p[6], p[7], *light]))

    return image, torch
