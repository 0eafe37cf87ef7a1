"""Images of lensed galaxies: throughput beside herculens and lenstronomy, in one run.

100 × 100 pixels, 2 × 2 rays in each, a point-spread function of 21 × 21 pixels, 14 parameters: elliptical power law,
shear and a Sérsic source. All in one process, in double precision but where it says single; herculens and ours compiled. The calls are interleaved;
the quickest call is kept, for other programs on the machine only ever slow a call down. lenstronomy has no gradient.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from herculens.Coordinates.pixel_grid import PixelGrid as TheirGrid
from herculens.Instrument import psf as herculens_psf
from herculens.Instrument.noise import Noise
from herculens.LensImage.lens_image import LensImage
from herculens.LightModel.light_model import LightModel as TheirLight
from herculens.MassModel.mass_model import MassModel
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel

from bayesastro.models.lensing.parametric import ORDER
from bayesastro.simulators.lensing import (
    Companions,
    ExternalShear,
    PixelGrid,
    PowerLaw,
    Sersic,
    convolved,
    lensed,
    supersampled,
)

__all__ = ["run"]

SIZE, SCALE, FACTOR, REPEATS, BATCH = 100, 0.05, 2, 60, 32

POINT = np.array([1.2, 2.1, 0.05, 0.1, 0.01, 0.02, 0.03, -0.01, 0.2, 1.5, 0.1, 0.05, 0.05, 0.08])
"""θ_E, γ, e₁, e₂, x, y; γ₁, γ₂; R, n, e₁, e₂, x, y."""


def psf() -> np.ndarray:
    y, x = np.mgrid[-10:11, -10:11]
    kernel = np.exp(-0.5 * (x**2 + y**2) / 2.0**2)
    return kernel / kernel.sum()


def settings(p: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The arguments that herculens and lenstronomy share."""
    galaxy = dict(zip(("theta_E", "gamma", "e1", "e2", "center_x", "center_y"), p[:6], strict=True))
    source = dict(zip(("R_sersic", "n_sersic", "e1", "e2", "center_x", "center_y"), p[8:], strict=True))
    return [galaxy, {"gamma1": p[6], "gamma2": p[7], "ra_0": 0.0, "dec_0": 0.0}], [{"amp": 1.0} | source]


def ours() -> Callable[[jax.Array], jax.Array]:
    x, y = PixelGrid((SIZE, SIZE), SCALE).coordinates()
    kernel = psf()

    def image(p: jax.Array) -> jax.Array:
        lens = Companions((PowerLaw(*p[:6], order=ORDER), ExternalShear(p[6], p[7])))
        view = supersampled(lensed(Sersic(*p[8:]).brightness, lens), SCALE, FACTOR)
        return convolved(view, jnp.asarray(kernel, p.dtype))(jnp.asarray(x, p.dtype), jnp.asarray(y, p.dtype))

    return image


def herculens() -> Callable[[jax.Array], jax.Array]:
    corner = -0.5 * (SIZE - 1) * SCALE
    model = LensImage(
        TheirGrid(nx=SIZE, ny=SIZE, ra_at_xy_0=corner, dec_at_xy_0=corner, transform_pix2angle=SCALE * np.eye(2)),
        herculens_psf.PSF(psf_type="PIXEL", kernel_point_source=psf()),
        noise_class=Noise(SIZE, SIZE, background_rms=0.1, exposure_time=1000.0),
        lens_mass_model_class=MassModel(["EPL", "SHEAR"]),
        source_model_class=TheirLight(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": FACTOR},
    )

    def image(p: jax.Array) -> jax.Array:
        lens, source = settings(p)
        return model.model(kwargs_lens=lens, kwargs_source=source)

    return image


def lenstronomy() -> Callable[[np.ndarray], np.ndarray]:
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


def with_gradient(image: Callable[[jax.Array], jax.Array], target: np.ndarray) -> Callable[..., Any]:
    """Misfit of the image and its gradient: what a sampler asks for."""
    return jax.value_and_grad(lambda p: jnp.sum((image(p) - jnp.asarray(target, p.dtype)) ** 2))


def run() -> str:
    """The table, in Markdown."""
    with jax.enable_x64(True):
        peer = lenstronomy()
        # herculens and lenstronomy give fluxes in pixels, ours is surface brightness; herculens' is per subpixel.
        target = peer(POINT) / SCALE**2
        mine, theirs = ours(), herculens()
        error = float(np.abs(jax.jit(mine)(jnp.asarray(POINT)) - target).max() / target.max())
        many = jnp.asarray(POINT + 0.01 * np.random.default_rng(0).normal(size=(BATCH, POINT.size)))
        single = np.asarray(many, np.float32)
        calls = {
            "lenstronomy, image": (lambda: peer(POINT), 1),
            "herculens, image": (_compiled(theirs, POINT), 1),
            "bayesastro, image": (_compiled(mine, POINT), 1),
            f"bayesastro, {BATCH} images at once": (_compiled(jax.vmap(mine), many), BATCH),
            "herculens, image and gradient": (_compiled(with_gradient(theirs, target), POINT), 1),
            "bayesastro, image and gradient": (_compiled(with_gradient(mine, target), POINT), 1),
            f"herculens, {BATCH} gradients at once": (_compiled(jax.vmap(with_gradient(theirs, target)), many), BATCH),
            f"bayesastro, {BATCH} gradients at once": (_compiled(jax.vmap(with_gradient(mine, target)), many), BATCH),
            f"bayesastro, {BATCH} images at once, single precision": (_compiled(jax.vmap(mine), single), BATCH),
            f"bayesastro, {BATCH} gradients at once, single precision": (
                _compiled(jax.vmap(with_gradient(mine, target)), single),
                BATCH,
            ),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for i in range(REPEATS):
            for name, (call, number) in calls.items():
                if number > 1 and i >= REPEATS // 4:
                    continue
                began = time.perf_counter()
                call()
                seconds[name].append((time.perf_counter() - began) / number)
    slowest = min(seconds["lenstronomy, image"])
    lines = ["| what | ms | a second | times lenstronomy's images |", "|---|---|---|---|"]
    for name, times in seconds.items():
        best = min(times)
        lines.append(f"| {name} | {1e3 * best:.2f} | {1 / best:.0f} | {slowest / best:.1f} |")
        print(lines[-1], flush=True)
    return "\n".join([*lines, "", f"Largest difference of our image from lenstronomy's: {error:.1e} of its peak."])


def _compiled(function: Callable[..., Any], argument: Any) -> Callable[[], Any]:
    compiled, argument = jax.jit(function), jnp.asarray(argument)
    jax.block_until_ready(compiled(argument))
    return lambda: jax.block_until_ready(compiled(argument))
