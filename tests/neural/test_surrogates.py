"""Learnt likelihoods and ratios: the same on torch and JAX, right where the answer is known, and engines over them."""

import dataclasses

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import torch

import bayesastro as ba
from bayesastro.inference.neural.embeddings import Dense
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.surrogates import LikelihoodNetwork, RatioNetwork, contrasted
from bayesastro.inference.neural.transcribed import log_likelihoods_of

QUICK = {"num_warmup": 300, "num_draws": 500}


def shaken(network, seed):
    """With weights far from those that training begins with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return network.eval()


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("flow", ["spline", "affine", "mixture", ""])
def test_jax_repeats_torch(flow, number):
    settings = {
        "size": 3,
        "flow": flow,
        "num_transforms": 3,
        "hidden": 16,
        "num_features": 8,
        "dropout": 0.0,
        "kept": {"y": np.ones(number, bool)},
        "masks": {},
        "arguments": {},
    }
    if flow:
        kind, settings = LikelihoodNetwork, settings | {"kind": "likelihood", "embeddings": {}}
    else:
        kind, settings = RatioNetwork, settings | {"kind": "ratio", "embeddings": {"y": Dense(width=8, depth=1)}}
    with torch.random.fork_rng():
        torch.manual_seed(number)
        networks = [shaken(kind(Plan(**settings)), seed) for seed in (1, 2)]
    random = np.random.default_rng(number)
    z, x = random.standard_normal((20, 3), np.float32), 2 * random.standard_normal((20, number), np.float32)
    with torch.no_grad():
        contexts = [network.context({"y": torch.from_numpy(x)}) for network in networks]
        wanted = torch.stack(
            [n.log_likelihood(torch.from_numpy(z)[:, None], c)[:, 0] for n, c in zip(networks, contexts, strict=True)],
            1,
        )
    function = jax.jit(jax.vmap(log_likelihoods_of(networks)))
    found = function(z, np.stack([c.numpy() for c in contexts], 1))
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("num_contrasts", [1, 4])
def test_the_exact_ratio_has_the_least_loss(num_contrasts):
    """z ~ N(0, 1), x ~ N(z, 1/2): the loss at the exact log-ratio, and shifted, tilted and doubled ones."""
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(20_000, 1, generator=generator)
    x = z + 0.5**0.5 * torch.randn(20_000, 1, generator=generator)

    def exact(z, x):
        return (x[:, None] ** 2 / 3 - (x[:, None] - z) ** 2 + 0.5 * np.log(3))[..., 0]

    def loss(log_ratio):
        return contrasted(log_ratio, z, x, num_contrasts, balanced=False)

    least = loss(exact)
    changed = [
        loss(lambda z, x: exact(z, x) + 0.3),
        loss(lambda z, x: exact(z, x) - 0.3),
        loss(lambda z, x: exact(z, x) + 0.3 * z[..., 0]),
        loss(lambda z, x: 1.3 * exact(z, x)),
    ]
    for other in changed:
        difference = (other - least).numpy()
        assert difference.mean() > 3 * difference.std() / np.sqrt(len(difference) / (num_contrasts + 1))


def test_balance_is_met_by_no_ratio_and_missed_by_a_bold_one():
    z, x = torch.zeros(100, 1), torch.zeros(100, 1)
    values = [
        contrasted(lambda z, x, c=c: torch.full(z.shape[:2], c), z, x, 1, balanced=True).mean().item()
        for c in (0.0, 3.0)
    ]
    assert values[0] == pytest.approx(np.log(2))
    assert values[1] > 10


@pytest.fixture(scope="session")
def nle(linear):
    settings = ba.NLE(
        flow="affine", num_transforms=2, hidden=32, max_epochs=15, batch_size=128, engine=ba.NUTS(**QUICK)
    )
    return settings.train(linear.problem, linear.bank, seed=1, progress=False)


@pytest.fixture(scope="session")
def nre(linear):
    settings = ba.NRE(hidden=64, max_epochs=15, batch_size=128, engine=ba.NUTS(**QUICK))
    return settings.train(linear.problem, linear.bank, seed=1, progress=False)


@pytest.mark.parametrize("name", ["nle", "nre"])
def test_the_posterior_is_learnt(linear, name, request):
    surrogate = request.getfixturevalue(name)
    result = ba.fit(linear.problem, surrogate, seed=1, progress=False)
    x, sd = result["posterior"]["x"].values.reshape(-1, 2), np.sqrt(np.diag(linear.covariance))
    assert (np.abs(x.mean(0) - linear.mean(linear.problem.observed["y"])) < 0.3 * sd).all()
    np.testing.assert_allclose(x.std(0), sd, rtol=0.25)
    assert result.attrs["exactness"] == "amortised"
    assert 0 < result.attrs["outside_bank"] < 1
    assert {"diverging", "lp"} <= set(result["sample_stats"])
    assert not {"divergences", "rhat"} & set(ba.diagnose(result).ids)


def test_a_likelihood_gives_evidence_and_a_ratio_none(linear, nle, nre):
    smc = ba.SMC(num_islands=4, num_particles=100)
    found = ba.fit(linear.problem, dataclasses.replace(nle, engine=smc), seed=1, progress=False)
    error = found.attrs["log_evidence"] - linear.log_evidence(linear.problem.observed["y"])
    assert abs(error) < 0.2 + 4.5 * found.attrs["log_evidence_err"]
    found = ba.fit(linear.problem, dataclasses.replace(nre, engine=smc), seed=1, progress=False)
    assert not any(name.startswith("log_evidence") for name in found.attrs)


def test_transforms_have_their_volume():
    """The density of the data, whatever they were transformed by."""

    def program():
        level = numpyro.sample("level", dist.Normal(0.0, 0.5))
        numpyro.sample("y", dist.LogNormal(level, 0.3).expand([2]).to_event(1))

    problem = ba.Problem(program, observed={"y": np.array([1.1, 2.0])})
    bank = ba.simulate(problem, 3000, seed=1, progress=False)
    exact = problem.log_likelihood({"level": np.array([0.2])}, batch_ndims=1)["y"].sum(-1)
    for transform in ("log", "asinh", "sqrt"):
        settings = ba.NLE(flow="affine", hidden=32, max_epochs=12, batch_size=64, transforms={"y": transform})
        found = settings.train(problem, bank, seed=1, progress=False)
        value = found.likelihood.evaluate(np.full((1, 1, 1), 0.2), {"y": problem.observed["y"][None]})
        assert value[0, 0] == pytest.approx(float(exact[0]), abs=0.2)


def test_many_data_sets(linear, nle):
    y = linear.bank.rows(slice(0, 12))[1]["y"]
    many = ba.fit_many(linear.problem, {"y": y}, nle, seed=2, progress=False)
    sd = np.sqrt(np.diag(linear.covariance))
    mean = many["posterior"]["x"].mean(["chain", "draw"]).values
    assert np.sqrt((((mean - linear.mean(y)) / sd) ** 2).mean()) < 0.3
    assert set(many["fits"]) >= {"outside_bank", "validation_loss"}
    design = np.repeat(linear.problem.data.arrays[0][None], 2, 0)
    stacked = linear.problem.batch(design=design, observed={"y": y[:2]})
    with pytest.raises(ValueError, match="at one value of the argument `design`"):
        ba.fit_many(linear.problem, stacked, nle, seed=2, progress=False)


def test_values_given_by_obs_are_found(linear, nle):
    inline = ba.Problem(linear_by_obs, linear.problem.data.arrays[0], np.asarray(linear.problem.observed["y"]))
    assert inline.observed["y"].shape == (3,)
    bank = ba.simulate(inline, 200, seed=1, progress=False)
    surrogate = ba.NLE(flow="affine", hidden=8, max_epochs=1, engine=ba.NUTS(num_warmup=20, num_draws=20))
    result = ba.fit(inline, surrogate.train(inline, bank, seed=1, progress=False), seed=1, progress=False)
    assert result["posterior"]["x"].shape == (4, 20, 2)


def linear_by_obs(design, y):
    x = numpyro.sample("x", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    numpyro.sample("y", dist.Normal(design @ x, 0.3).to_event(1), obs=y)


@pytest.mark.parametrize("name", ["nle", "nre"])
def test_it_comes_back_as_it_was(linear, name, request, tmp_path):
    surrogate = request.getfixturevalue(name)
    surrogate.save(tmp_path / name)
    loaded = ba.Surrogate.load(tmp_path / name)
    assert loaded.engine == surrogate.engine
    results = [ba.fit(linear.problem, one, seed=1, progress=False) for one in (surrogate, loaded)]
    np.testing.assert_array_equal(*[result["posterior"]["x"] for result in results])
    with pytest.raises(ValueError, match="holds a learnt"):
        ba.Amortised.load(tmp_path / name)


def test_simulators_without_density_are_fitted():
    class Hidden(dist.Distribution):
        support = dist.constraints.real
        arg_constraints = {"loc": dist.constraints.real}  # noqa: RUF012

        def __init__(self, loc, validate_args=None):
            self.loc = loc
            super().__init__(np.shape(loc), (), validate_args=validate_args)

        def sample(self, key, sample_shape=()):
            return self.loc + 0.5 * jax.random.normal(key, (*sample_shape, *self.batch_shape))

    def program():
        numpyro.sample("y", Hidden(numpyro.sample("x", dist.Normal(0.0, 1.0))))

    problem = ba.Problem(program, observed={"y": 0.5})
    bank = ba.simulate(problem, 2000, seed=1, progress=False)
    settings = ba.NLE(flow="affine", num_transforms=2, hidden=16, max_epochs=10, engine=ba.NUTS(**QUICK))
    result = ba.fit(problem, settings.train(problem, bank, seed=1, progress=False), seed=1, progress=False)
    assert float(result["posterior"]["x"].mean()) == pytest.approx(0.4, abs=0.1)
    assert float(result["posterior"]["x"].std()) == pytest.approx(0.2**0.5, abs=0.1)


def test_what_does_not_fit_is_refused(linear, nle):
    def counts():
        rate = numpyro.sample("rate", dist.LogNormal(0.0, 1.0))
        numpyro.sample("counts", dist.Poisson(rate).expand([4]).to_event(1))

    problem = ba.Problem(counts, observed={"counts": np.ones(4)})
    bank = ba.simulate(problem, 100, seed=1, progress=False)
    with pytest.raises(ValueError, match="the values of `counts` are discrete"):
        ba.NLE().train(problem, bank, seed=1, progress=False)

    def long():
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mean, 0.5).expand([300]).to_event(1))

    problem = ba.Problem(long, observed={"y": np.ones(300)})
    bank = ba.simulate(problem, 100, seed=1, progress=False)
    with pytest.raises(ValueError, match="up to 256 values, but 300 are observed"):
        ba.NLE().train(problem, bank, seed=1, progress=False)
    with pytest.raises(ValueError, match="needs `flow` to be one of"):
        ba.NLE(flow="autoregressive")
    with pytest.raises(ValueError, match="`num_contrasts` to be a whole number"):
        ba.NRE(num_contrasts=0)
    with pytest.raises(ValueError, match="an engine that JAX traces"):
        dataclasses.replace(nle, engine=ba.Ensemble())
    with pytest.raises(ValueError, match="Simulate the problem to a bank, and train `NLE`"):
        ba.fit(linear.problem.replace(2 * np.asarray(linear.problem.data.arrays[0])), nle, seed=1, progress=False)
