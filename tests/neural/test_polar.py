"""The network of rings: what it sees of images of which the answer is known, and that it learns radii."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import torch

import bayesastro as ba
from bayesastro.inference.neural.embeddings import Dense, PolarResNet

SIZE = 41
Y, X = np.mgrid[:SIZE, :SIZE] - 0.5 * (SIZE - 1)


def made(**settings):
    kept = settings.pop("kept", np.ones((SIZE, SIZE), bool))
    torch.manual_seed(0)
    return PolarResNet(**{"width": 8, "num_radii": 16} | settings).network(kept, 0, 5, 0.0).eval()


def galaxy(x=0.0, y=0.0, stretch=1.15, angle=0.4, height=300.0):
    """An elliptical galaxy of exponential profile, in units of the noise, seen through a point-spread function."""
    u = (X - x) * np.cos(angle) + (Y - y) * np.sin(angle)
    v = -(X - x) * np.sin(angle) + (Y - y) * np.cos(angle)
    return height * np.exp(1 - np.sqrt(1 + (u / (3 * stretch)) ** 2 + (v * stretch / 3) ** 2))


def arc(radius=10.0, angle=0.9, height=5.0):
    distance, direction = np.hypot(X, Y), np.arctan2(Y, X)
    return height * np.exp(-0.5 * ((distance - radius) / 1.5) ** 2 + 3 * (np.cos(direction - angle) - 1))


def image(*parts):
    return torch.from_numpy(np.sum(parts, axis=0)[None]).float()


def test_the_centroid_is_found():
    for x, y in ((0.0, 0.0), (0.7, -0.4), (-1.0, 0.8)):
        found = made().centroid(image(galaxy(x, y)))
        np.testing.assert_allclose(found[0], [x, y], atol=0.1)


def test_a_turn_is_a_shift():
    """By a right angle, exactly; the centre turns with the image."""
    network, lens = made(), image(galaxy(0.7, -0.4), arc())
    turned = torch.rot90(lens, -1, (1, 2))  # y is along rows: from the x to the y axis
    maps, rings = network.seen(lens)
    again, rings_again = network.seen(turned)
    torch.testing.assert_close(again, maps.roll(maps.shape[-1] // 4, -1), atol=2e-3, rtol=0)
    x, y = rings[0, -2:]
    torch.testing.assert_close(rings_again[0, -2:], torch.stack([-y, x]), atol=1e-3, rtol=0)


def test_arcs_are_seen_and_galaxies_are_not():
    network = made()
    for number in (1, 2):
        alone, lensed = (
            network.seen(image(*parts))[0][0, number, 9:] for parts in ([galaxy(0.3, 0.2)], [galaxy(0.3, 0.2), arc()])
        )
        assert alone.abs().max() < math.log1p(1.0), number  # below the noise, where the galaxy is 34 times above it
        ring, place = divmod(int(lensed.argmax()), lensed.shape[1])
        assert abs(ring + 9.5 - 10.0) <= 1.0, number
        assert abs(2 * math.pi * place / lensed.shape[1] - 0.9) < 0.2, number


def test_zero_level_and_noise_are_those_of_most_pixels():
    rng = np.random.default_rng(1)
    kept = np.ones((SIZE, SIZE), bool)
    kept[:10] = False
    values = 3.0 + 0.5 * rng.normal(size=(50, SIZE, SIZE)) + 0.5 * galaxy(height=20.0)
    network = made(kept=kept)
    network.prepare([(torch.zeros(50, 1), torch.from_numpy(np.where(kept, values, 1e3)).float())])
    assert float(network.zero) == pytest.approx(3.0, abs=0.5)
    assert float(network.noise) == pytest.approx(0.5, rel=0.15)
    x = torch.from_numpy(values[:2]).float()
    torch.testing.assert_close(network(x), network(torch.where(torch.from_numpy(kept), x, 77.0)))
    again = made(kept=kept)
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(x), network(x))


def test_numbers_of_angles_are_checked():
    with pytest.raises(ValueError, match="`PolarResNet` needs `num_angles` to be a whole number of at least 8"):
        PolarResNet(num_angles=4)
    with pytest.raises(ValueError, match="`PolarResNet` is for sites of 2 axes"):
        PolarResNet().check("image", (10, 10, 3))


@pytest.mark.slow
def test_radii_around_galaxies_are_learnt():
    """Far better than by layers over all pixels, from few simulations."""
    x, y = jnp.asarray(X), jnp.asarray(Y)

    def program():
        radius = numpyro.sample("radius", dist.Uniform(5.0, 15.0))
        angle = numpyro.sample("angle", dist.Normal(0.0, 1.0))
        log_light = numpyro.sample("log_light", dist.Uniform(0.0, 6.0))
        arc = 4 * jnp.exp(-0.5 * ((jnp.hypot(x, y) - radius) / 1.5) ** 2 + 3 * (jnp.cos(jnp.arctan2(y, x) - angle) - 1))
        light = jnp.exp(log_light) * jnp.exp(-0.5 * ((x / 5) ** 2 + (y / 3) ** 2))
        numpyro.sample("image", dist.Normal(light + arc, 1.0).to_event(2))

    problem = ba.Problem(program, observed={"image": np.zeros((SIZE, SIZE))})
    bank = ba.simulate(problem, 3000, seed=1, progress=False)
    fresh = problem.simulate(200, key=jax.random.key(5))
    errors = {}
    for embedding in (PolarResNet(width=16, num_radii=20), Dense()):
        settings = ba.NPE(
            flow="affine",
            num_transforms=2,
            max_epochs=8,
            batch_size=32,
            decay="cosine",
            embeddings={"image": embedding},
        )
        quick = dataclasses.replace(settings.train(problem, bank, seed=1, progress=False), num_chains=1, num_draws=200)
        drawn = ba.fit_many(problem, fresh.observables, quick, seed=1, progress=False)["posterior"]["radius"]
        error = drawn.mean(["chain", "draw"]).values - fresh.parameters["radius"]
        errors[type(embedding).__name__] = np.sqrt(np.mean(error**2)) / np.std(fresh.parameters["radius"])
    assert errors["PolarResNet"] < 0.3
    assert errors["PolarResNet"] < 0.7 * errors["Dense"]
