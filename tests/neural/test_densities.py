"""Every density is normalised, draws what it says it does, and can be learnt."""

import numpy as np
import pytest
import torch
from zuko.transforms import MonotonicRQSTransform

from bayesastro.inference.neural import splines
from bayesastro.inference.neural.densities import FLOWS


def density(flow, size, context=3):
    """A density with weights away from those that it begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        made = FLOWS[flow](size, context, num_transforms=3, hidden=16)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return made


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("flow", FLOWS)
def test_the_density_of_a_draw_is_the_density_at_its_place(flow, size):
    made, generator = density(flow, size), torch.Generator().manual_seed(1)
    context = torch.randn(4, 3, generator=generator)
    noise = torch.randn(4, 50, made.noise_size, generator=generator)
    with torch.no_grad():
        z, log_prob = made.sample(noise, context)
        assert z.shape == (4, 50, size)
        torch.testing.assert_close(made.log_prob(z, context), log_prob, rtol=1e-4, atol=2e-3)
        assert made.loss(z[:, 0], context).shape == (4,)
        # A data set's draws do not depend on what else is drawn.
        alone, _ = made.sample(noise[1:2], context[1:2])
    torch.testing.assert_close(alone[0], z[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_density_integrates_to_one(flow):
    made, edge = density(flow, 2), torch.linspace(-8, 8, 121)
    grid = torch.stack(torch.meshgrid(edge, edge, indexing="ij"), -1).reshape(1, -1, 2)
    with torch.no_grad():
        total = made.log_prob(grid, torch.tensor([[0.5, -1.0, 0.2]])).exp().sum() * (edge[1] - edge[0]) ** 2
    assert abs(total - 1) < 5e-3


def test_splines_are_those_of_zuko():
    generator = torch.Generator().manual_seed(1)
    parameters = torch.randn(3 * 8 - 1, 4, 200, generator=generator, dtype=torch.float64)
    x = 3 * torch.randn(4, 200, generator=generator, dtype=torch.float64)
    peer = MonotonicRQSTransform(*(parameters[i].movedim(0, -1) for i in (slice(8), slice(8, 16), slice(16, None))))
    # The same knots: only how raw numbers become knots differs.
    widths, heights = splines._sizes(parameters[:8]), splines._sizes(parameters[8:16])
    slopes = torch.nn.functional.softplus(parameters[16:] + splines.UNIT_SLOPE) + splines.LEAST
    edge = torch.ones(1, 4, 200, dtype=torch.float64)
    for name, sizes in (("horizontal", widths), ("vertical", heights)):
        knots = torch.cat([0 * edge, sizes.cumsum(0)]) - splines.BOUND
        setattr(peer, name, knots.movedim(0, -1))
    peer.derivatives = torch.cat([edge, slopes, edge]).movedim(0, -1)
    y, log_slope = splines.spline(parameters, x)
    wanted, wanted_slope = peer.call_and_ladj(x)
    torch.testing.assert_close(y, wanted)
    torch.testing.assert_close(log_slope, wanted_slope)
    back, same_slope = splines.spline_inverse(parameters, y)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(same_slope, log_slope)


def test_splines_are_the_identity_outside():
    x = torch.tensor([[-50.0, -5.5, 5.5, 1e6]])
    y, log_slope = splines.spline(torch.randn(23, 1, 4), x)
    assert torch.equal(y, x)
    assert torch.equal(log_slope, torch.zeros(1, 4))


def test_a_divergence_is_the_trace_of_the_jacobian():
    made = density("matching", 3)
    z, t = torch.randn(2, 4, 3), torch.full((2, 4), 0.3)
    given = made.of_context(torch.randn(2, 3))[:, None]
    velocity, divergence = made.divergence(t, z, given)
    jacobian = torch.autograd.functional.jacobian(lambda z: made.velocity(t, z, given), z)
    torch.testing.assert_close(velocity, made.velocity(t, z, given))
    torch.testing.assert_close(divergence, torch.einsum("bnibni->bn", jacobian))


def test_many_coordinates_have_diagonal_normals():
    made = density("affine", 70)
    _, log_prob = made.sample(torch.randn(2, 3, 70), torch.randn(2, 3))
    assert np.isfinite(log_prob.detach().numpy()).all()
    assert made.normals.linear.out_features == 140
