"""Images of lensed galaxies: throughput beside herculens, caustics and lenstronomy, in one run.

100 × 100 pixels, 2 × 2 rays in each, a point-spread function of 21 × 21 pixels, 14 parameters: elliptical power law,
shear and a Sérsic source. All in one process, in double precision but where it says single; herculens and ours compiled,
caustics by PyTorch on one thread, which computes a border of half a point-spread function, too. The calls are interleaved; the
processor's time of the quickest call is kept, for other programs on the machine only ever slow a call down. lenstronomy has no
gradient. `off` is the largest difference from lenstronomy's image, over its peak; caustics' rays lie elsewhere in the pixels.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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
from benchmarks.lens_peers import FACTOR, SCALE, SIZE, caustics, herculens, lenstronomy, psf
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]

REPEATS, BATCH = 60, 32

POINT = np.array([1.2, 2.1, 0.05, 0.1, 0.01, 0.02, 0.03, -0.01, 0.2, 1.5, 0.1, 0.05, 0.05, 0.08])
"""θ_E, γ, e₁, e₂, x, y; γ₁, γ₂; R, n, e₁, e₂, x, y."""


def ours() -> Callable[[jax.Array], jax.Array]:
    x, y = PixelGrid((SIZE, SIZE), SCALE).coordinates()
    kernel = psf()

    def image(p: jax.Array) -> jax.Array:
        lens = Companions((PowerLaw(*p[:6], order=ORDER), ExternalShear(p[6], p[7])))
        view = supersampled(lensed(Sersic(*p[8:]).brightness, lens), SCALE, FACTOR)
        return convolved(view, jnp.asarray(kernel, p.dtype))(jnp.asarray(x, p.dtype), jnp.asarray(y, p.dtype))

    return image


def with_gradient(image: Callable[[jax.Array], jax.Array], target: np.ndarray) -> Callable[..., Any]:
    """Misfit of the image and its gradient: what a sampler asks for."""
    return jax.value_and_grad(lambda p: jnp.sum((image(p) - jnp.asarray(target, p.dtype)) ** 2))


Call = tuple[Callable[[], Any], int]
"""And how many images it makes."""


def own_calls(target: np.ndarray, many: jax.Array) -> dict[str, Call]:
    """Ours, compiled."""
    image, single = ours(), np.asarray(many, np.float32)
    gradient = with_gradient(image, target)
    return {
        "bayesastro, image": (_compiled(image, POINT), 1),
        f"bayesastro, {BATCH} images at once": (_compiled(jax.vmap(image), many), BATCH),
        "bayesastro, image and gradient": (_compiled(gradient, POINT), 1),
        f"bayesastro, {BATCH} gradients at once": (_compiled(jax.vmap(gradient), many), BATCH),
        f"bayesastro, {BATCH} images at once, single precision": (_compiled(jax.vmap(image), single), BATCH),
        f"bayesastro, {BATCH} gradients at once, single precision": (_compiled(jax.vmap(gradient), single), BATCH),
    }


def calls_of_herculens(target: np.ndarray, many: jax.Array) -> dict[str, Call]:
    """Compiled."""
    image = herculens()
    gradient = with_gradient(image, target)
    return {
        "herculens, image": (_compiled(image, POINT), 1),
        "herculens, image and gradient": (_compiled(gradient, POINT), 1),
        f"herculens, {BATCH} gradients at once": (_compiled(jax.vmap(gradient), many), BATCH),
    }


def calls_of_caustics(target: np.ndarray) -> dict[str, Call]:
    """PyTorch, as its users call it."""
    image, torch = caustics()
    point, goal = torch.as_tensor(POINT), torch.as_tensor(target)

    def forward() -> Any:
        with torch.no_grad():
            return image(point)

    def gradient() -> Any:
        variable = point.clone().requires_grad_(True)
        ((image(variable) - goal) ** 2).sum().backward()
        return variable.grad

    return {"caustics, image": (forward, 1), "caustics, image and gradient": (gradient, 1)}


def run() -> Report:
    """The table, and ratios to each peer."""
    peers = {name: Peer(name) for name in ("lenstronomy", "herculens", "caustics")}
    with jax.enable_x64(True):
        peer = peers["lenstronomy"].measured(lenstronomy)
        # herculens and lenstronomy give fluxes in pixels, ours is surface brightness; herculens' is per subpixel.
        mine = np.asarray(jax.jit(ours())(jnp.asarray(POINT)))
        target = mine if isinstance(peer, Failure) else peer(POINT) / SCALE**2
        many = jnp.asarray(POINT + 0.01 * np.random.default_rng(0).normal(size=(BATCH, POINT.size)))
        made = {
            "lenstronomy": peer if isinstance(peer, Failure) else {"lenstronomy, image": (lambda: peer(POINT), 1)},
            "herculens": peers["herculens"].measured(lambda: calls_of_herculens(target, many)),
            "bayesastro": own_calls(target, many),
            "caustics": peers["caustics"].measured(lambda: calls_of_caustics(target)),
        }
        failures = {name: calls for name, calls in made.items() if isinstance(calls, Failure)}
        calls = {name: call for each in made.values() if not isinstance(each, Failure) for name, call in each.items()}
        off = {"bayesastro, image": _off(mine, target)}
        if "caustics, image" in calls:
            off["caustics, image"] = _off(calls["caustics, image"][0]().numpy(), target)
        best = quickest(calls)
    lines = ["| what | ms | a second | off |", "|---|---|---|---|"]
    for name, seconds in best.items():
        error = f"{off[name]:.1e}" if name in off else ""
        lines.append(f"| {name} | {1e3 * seconds:.2f} | {1 / seconds:.0f} | {error} |")
        print(lines[-1], flush=True)
    return Report("\n".join(lines), tuple(_ratios(peers, best, failures)))


def quickest(calls: dict[str, Call]) -> dict[str, float]:
    """The least of the processor's seconds for an image, by name; the calls take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(REPEATS):
        for name, (call, number) in calls.items():
            if number > 1 and i >= REPEATS // 4:
                continue
            began = time.process_time()
            call()
            seconds[name].append((time.process_time() - began) / number)
    return {name: min(times) for name, times in seconds.items()}


def _off(image: np.ndarray, target: np.ndarray) -> float:
    return float(np.abs(image - target).max() / target.max())


def _ratios(peers: dict[str, Peer], best: dict[str, float], failures: dict[str, Failure]) -> Iterator[Ratio]:
    for name, peer in peers.items():
        for what in ("image", "image and gradient"):
            theirs = failures.get(name, best.get(f"{name}, {what}"))
            if theirs is not None:  # lenstronomy has no gradient
                yield Ratio(
                    quantity=f"Lensed galaxy, {SIZE}² pixels: ms for {what}",
                    ours=1e3 * best[f"bayesastro, {what}"],
                    peer=str(peer),
                    theirs=theirs if isinstance(theirs, Failure) else 1e3 * theirs,
                    less_is_better=True,
                )


def _compiled(function: Callable[..., Any], argument: Any) -> Callable[[], Any]:
    compiled, argument = jax.jit(function), jnp.asarray(argument)
    jax.block_until_ready(compiled(argument))
    return lambda: jax.block_until_ready(compiled(argument))
