"""`NPE` learns the exact posterior of a linear Gaussian, the same every time; and what it refuses and warns of."""

import dataclasses
import json
import warnings

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import torch
import xarray as xr
from linear import A, Y, program
from numpyro.handlers import mask as masked

import bayesastro as ba
from bayesastro.inference.neural import training
from bayesastro.inference.neural.embeddings import Dense, ResNet, SetNetwork
from bayesastro.inference.neural.layers import BayesianLinear

QUICK = {"flow": "affine", "num_transforms": 1, "hidden": 8, "max_epochs": 1, "batch_size": 128}


def test_the_posterior_is_learnt(linear, amortised):
    result = ba.fit(linear.problem, amortised, seed=2, progress=False)
    draws = result["posterior"]["x"].values.reshape(-1, 2)
    sd = np.sqrt(np.diag(linear.covariance))
    assert np.abs((draws.mean(0) - linear.mean(Y)) / sd).max() < 0.15
    assert np.abs(draws.std(0) / sd - 1).max() < 0.15
    wanted = linear.covariance[0, 1] / sd.prod()
    assert abs(np.corrcoef(draws.T)[0, 1] - wanted) < 0.15
    assert result.attrs["exactness"] == "amortised"
    assert result.attrs["ess"] == 2000
    assert result.attrs["outside_bank"] < 1
    assert not ba.diagnose(result)


def test_lp_is_the_density_of_the_draws(linear, amortised):
    result = ba.fit(linear.problem, amortised, seed=2, progress=False)
    draws = result["posterior"]["x"].values
    y = np.broadcast_to(Y, (4, 3))
    found = amortised.log_prob(draws, {"y": y})  # a normal's coordinates are its values
    np.testing.assert_allclose(found, result["sample_stats"]["lp"], atol=1e-3)


def test_log_prob_of_parameters_has_the_jacobian():
    def positive():
        rate = numpyro.sample("rate", dist.LogNormal(0.0, 1.0))
        weights = numpyro.sample("weights", dist.Dirichlet(2 * jnp.ones(3)))
        numpyro.sample("y", dist.Normal(rate * weights, 0.1).to_event(1))

    problem = ba.Problem(positive, observed={"y": np.ones(3)})
    bank = ba.simulate(problem, 500, seed=1, progress=False)
    amortised = ba.NPE(**QUICK).train(problem, bank, seed=1, progress=False)
    z = amortised.draw({"y": np.ones((1, 3))}, 5, seed=1)
    result = ba.fit(problem, dataclasses.replace(amortised, num_chains=1, num_draws=5), seed=1, progress=False)
    theta = {name: result["posterior"][name].values for name in ("rate", "weights")}
    at = amortised.log_prob(theta, {"y": np.ones((1, 3))}, problem)
    # rate = e^z and weights by stick breaking, of which NumPyro gives the Jacobian.
    breaking = dist.transforms.StickBreakingTransform()
    coordinates = np.concatenate([np.log(theta["rate"])[..., None], breaking.inv(theta["weights"])], -1)
    log_jacobian = np.log(theta["rate"]) + breaking.log_abs_det_jacobian(coordinates[..., 1:], theta["weights"])
    np.testing.assert_allclose(at, amortised.log_prob(coordinates, {"y": np.ones((1, 3))}) - log_jacobian, atol=1e-3)
    assert z.shape == (1, 5, 3)
    with pytest.raises(ValueError, match="needs the `problem`"):
        amortised.log_prob(theta, {"y": np.ones((1, 3))})


def test_training_is_deterministic_and_leaves_torch_alone(linear, npe, amortised):
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    again = npe.train(linear.problem, linear.bank, seed=1, progress=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert again.posterior.fingerprint == amortised.posterior.fingerprint
    assert again.posterior.histories[0].validation == amortised.posterior.histories[0].validation
    first, second = (
        ba.NPE(**QUICK).train(linear.problem, linear.bank, seed=seed, progress=False).posterior.fingerprint
        for seed in (2, 3)
    )
    assert first != second


def test_history_and_early_stopping(linear):
    settings = ba.NPE(**QUICK | {"max_epochs": 100, "patience": 2, "learning_rate": 0.02})
    history = settings.train(linear.problem, linear.bank, seed=1, progress=False).posterior.histories[0]
    assert history.ended == "patience"
    assert len(history.validation) == len(history.training) == history.best_epoch + 3
    assert history.best == min(history.validation)


def test_time_limit(linear):
    settings = ba.NPE(**QUICK | {"max_epochs": 10_000, "patience": 10_000, "time_limit": 0.5})
    history = settings.train(linear.problem, linear.bank, seed=1, progress=False).posterior.histories[0]
    assert history.ended == "time limit"


def test_an_interruption_keeps_the_best_epoch(linear, monkeypatch):
    epoch, calls = training._epoch, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return epoch(*args)

    monkeypatch.setattr(training, "_epoch", interrupted)
    with pytest.warns(UserWarning, match="Training was interrupted; epoch"):
        trained = ba.NPE(**QUICK | {"max_epochs": 9}).train(linear.problem, linear.bank, seed=1, progress=False)
    assert trained.posterior.histories[0].ended == "interrupted"
    assert len(trained.posterior.histories[0].validation) == 2


def test_a_bank_too_large_to_cache_is_streamed(linear, amortised, npe):
    streamed = dataclasses.replace(npe, cache_bytes=0).train(linear.problem, linear.bank, seed=1, progress=False)
    assert abs(streamed.posterior.histories[0].best - amortised.posterior.histories[0].best) < 0.05


def test_many_data_sets_in_one_call(linear, amortised):
    sims = linear.bank.rows(slice(0, 40))[1]["y"]
    many = ba.fit_many(linear.problem, {"y": sims}, amortised, seed=3, progress=False)
    chunks = ba.fit_many(linear.problem, {"y": sims}, amortised, seed=3, chunk=7, progress=False)
    np.testing.assert_allclose(many["posterior"]["x"], chunks["posterior"]["x"], atol=1e-4)
    sd = np.sqrt(np.diag(linear.covariance))
    found = many["posterior"]["x"].mean(["chain", "draw"]).values
    assert np.sqrt((((found - linear.mean(sims)) / sd) ** 2).mean()) < 0.15
    assert set(many["fits"]) >= {"outside_bank", "validation_loss", "ess"}


def test_a_good_posterior_is_calibrated_and_a_bad_one_is_not(linear, amortised):
    options = {"num_simulations": 200, "seed": 4, "progress": False}
    assert ba.calibrate(linear.problem, amortised, **options, false_alarm=0.001).verdict == "pass"
    bad = ba.NPE(**QUICK | {"learning_rate": 1e-4}).train(linear.problem, linear.bank, seed=1, progress=False)
    assert ba.calibrate(linear.problem, bad, **options).verdict == "fail"


def test_ensembles_tell_what_they_do_not_know(linear, npe):
    few = ba.simulate(linear.problem, 200, seed=9, progress=False)
    settings = dataclasses.replace(npe, num_ensemble=3, batch_size=32, learning_rate=0.005)
    unsure = settings.train(linear.problem, few, seed=1, progress=False)
    settings = dataclasses.replace(npe, num_ensemble=3, max_epochs=6)
    sure = settings.train(linear.problem, linear.bank, seed=1, progress=False)
    shares = [ba.fit(linear.problem, a, seed=1, progress=False).attrs["epistemic_share"] for a in (unsure, sure)]
    assert shares[0] > 2 * shares[1]
    assert len(unsure.posterior.networks) == 3
    # The density is that of the mixture that is drawn from.
    edge = np.linspace(-6, 6, 201)
    grid = np.stack(np.meshgrid(edge, edge, indexing="ij"), -1).reshape(1, -1, 2)
    total = np.exp(unsure.log_prob(grid, {"y": Y[None]})).sum() * (edge[1] - edge[0]) ** 2
    assert abs(total - 1) < 5e-3


def test_variances_are_those_within_and_between_networks(npe):
    """Of few networks with much left to learn; the two parts sum up to the variance of all draws."""

    def program():
        rate = numpyro.sample("rate", dist.LogNormal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(rate, 0.5).expand([3]).to_event(1))

    problem = ba.Problem(program, observed={"y": Y})
    few = ba.simulate(problem, 200, seed=9, progress=False)
    settings = dataclasses.replace(npe, num_ensemble=3, batch_size=32, learning_rate=0.005, max_epochs=3)
    amortised = settings.train(problem, few, seed=1, progress=False)
    observed = {"y": np.array([[0.5, 1.0, 0.8], [2.5, 2.0, 3.0]])}
    parts = amortised.variances(problem, observed, num=30_000, seed=2)["rate"]
    assert parts.sizes == {"part": 2, "dataset": 2}
    draws = np.exp(amortised.draw(observed, 30_000, seed=3))[..., 0]
    aleatoric, epistemic = parts.sel(part="aleatoric"), parts.sel(part="epistemic")
    np.testing.assert_allclose(aleatoric + (2 / 3) * epistemic, draws.var(1), rtol=0.1)
    shares = json.loads(
        ba.fit(problem.replace(observed={"y": observed["y"][0]}), amortised, seed=1, progress=False).attrs[
            "epistemic_shares"
        ]
    )
    assert 0 < shares["rate"] < 1
    assert (epistemic > 0).all()
    with pytest.raises(ValueError, match="several networks and two draws of each, but 3 and `num=5` came"):
        amortised.variances(problem, observed, num=5, seed=1)
    alone = dataclasses.replace(settings, num_ensemble=1).train(problem, few, seed=1, progress=False)
    with pytest.raises(ValueError, match="Train with `num_ensemble` of at least 2"):
        alone.variances(problem, observed, seed=1)


def test_monte_carlo_dropout(linear, npe):
    settings = dataclasses.replace(npe, dropout=0.2, max_epochs=4)
    amortised = settings.train(linear.problem, linear.bank, seed=1, progress=False)
    result = ba.fit(linear.problem, amortised, seed=1, progress=False)
    assert 0 < result.attrs["epistemic_share"] < 0.5
    found = amortised.log_prob(result["posterior"]["x"].values, {"y": np.broadcast_to(Y, (4, 3))})
    np.testing.assert_allclose(found, result["sample_stats"]["lp"], atol=2e-3)


def test_data_outside_the_bank_are_flagged(linear, amortised):
    for y in (np.full(3, 50.0), np.array([8.0, -8.0, 8.0])):
        result = ba.fit(linear.problem.replace(observed={"y": y}), amortised, seed=1, progress=False)
        assert result.attrs["outside_bank"] > 1
        assert "outside_bank" in ba.diagnose(result).ids


def test_rows_that_failed_are_left_out_with_a_warning(linear):
    z, x = linear.bank.rows(slice(None))
    y = np.where(z[:, :1] > 1.5, np.nan, x["y"])
    bank = ba.Bank.from_arrays(linear.problem, {"x": z}, {"y": y})
    with pytest.warns(UserWarning, match=r"failed and are left out.*varies most with `x\[0\]`"):
        trained = ba.NPE(**QUICK).train(linear.problem, bank, seed=1, progress=False)
    assert trained.posterior.num_failed == np.isnan(y).any(1).sum() > 0
    assert np.isfinite(trained.draw({"y": Y[None]}, 10, seed=1)).all()


def test_constant_columns_are_left_out_with_a_warning(linear):
    z, x = linear.bank.rows(slice(None))
    x["y"][:, 1] = 7.0
    bank = ba.Bank.from_arrays(linear.problem, {"x": z}, x)
    with pytest.warns(UserWarning, match=r"The same in all rows of the bank, and left out: `y\[1\]`\."):
        trained = ba.NPE(**QUICK).train(linear.problem, bank, seed=1, progress=False)
    same = trained.draw({"y": np.array([[0.5, 7.0, 0.3], [0.5, 9.0, 0.3]])}, 10, seed=1)
    first, second = trained.posterior.draw({"y": np.array([[0.5, 7.0, 0.3], [0.5, 9.0, 0.3]])}, 10, [1, 1])[0]
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert same.shape == (2, 10, 2)
    x["y"][:] = 7.0
    with pytest.raises(ValueError, match="nothing to learn from"):
        ba.NPE(**QUICK).train(linear.problem, ba.Bank.from_arrays(linear.problem, {"x": z}, x), seed=1, progress=False)


def series(time, seen):
    tau = numpyro.sample("tau", dist.LogNormal(0.0, 0.5))
    with masked(mask=seen):
        numpyro.sample("flux", dist.Normal(jnp.exp(-time / tau), 0.1))
    numpyro.sample("level", dist.Normal(tau, 0.5))


def test_several_sites_sets_and_masks():
    time, seen = np.linspace(0.0, 3.0, 12), np.arange(12) < 9
    problem = ba.Problem(series, time, seen, observed={"flux": np.zeros(12), "level": 1.0})
    bank = ba.simulate(problem, 600, seed=1, progress=False)
    embeddings = {"flux": SetNetwork(features=("time",), mask="seen", width=16)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # masked entries are no surprise
        trained = ba.NPE(**QUICK, embeddings=embeddings).train(problem, bank, seed=1, progress=False)
    flux = np.exp(-time)[None].repeat(2, 0)
    flux[1, 9:] = 50.0
    first, second = trained.posterior.draw({"flux": flux, "level": np.ones(2)}, 10, [1, 1])[0]
    np.testing.assert_allclose(first, second, atol=1e-5)
    other = trained.posterior.draw({"flux": flux[:1], "level": np.zeros(1)}, 10, [1])[0]
    assert not np.allclose(first, other)


def test_what_does_not_fit_is_refused(linear, amortised):
    with pytest.raises(TypeError, match=r"`NPE` has to be trained before `fit`"):
        ba.fit(linear.problem, ba.NPE(), seed=1)
    with pytest.raises(TypeError, match=r"`NPE` has to be trained before `fit_many`"):
        ba.fit_many(linear.problem, {"y": np.zeros((2, 3))}, ba.NPE(), seed=1)
    with pytest.raises(ValueError, match="`Amortised` draws independently and takes no `start`"):
        ba.fit_many(linear.problem, {"y": np.zeros((2, 3))}, amortised, seed=1, start=xr.DataTree())
    with pytest.raises(ValueError, match=r"trained on another value of the argument `design`"):
        ba.fit(linear.problem.replace(2 * A), amortised, seed=1)
    longer = ba.Problem(program, np.ones((4, 2)), observed={"y": np.zeros(4)})
    with pytest.raises(ValueError, match=r"`y` observed .*\[3\] there, observed .*\[4\] here"):
        ba.fit(longer, amortised, seed=1)
    batch = linear.problem.batch(observed={"y": np.zeros((2, 3))}, design=np.stack([A, A]))
    with pytest.raises(ValueError, match="trained at one value of the argument `design`"):
        ba.fit_many(linear.problem, batch, amortised, seed=1, progress=False)
    with pytest.raises(ValueError, match=r"`y` was trained with shape \(3,\), but values of shape \(2, 4\) came"):
        amortised.draw({"y": np.zeros((2, 4))}, 5, seed=1)
    with pytest.raises(ValueError, match="`y` are needed"):
        amortised.draw({"z": np.zeros((2, 4))}, 5, seed=1)
    start = ba.fit(linear.problem, amortised, seed=1, progress=False)
    with pytest.raises(ValueError, match="takes no `start`"):
        ba.fit(linear.problem, amortised, seed=1, start=start, progress=False)
    with pytest.raises(ValueError, match="The bank is of another value of the argument `design`"):
        ba.NPE().train(linear.problem.replace(2 * A), linear.bank, seed=1)
    with pytest.raises(ValueError, match="`flux` is not observed in the bank"):
        ba.NPE(embeddings={"flux": Dense()}).train(linear.problem, linear.bank, seed=1)
    with pytest.raises(ValueError, match=r"`ResNet` is for sites of 2 or 3 axes, but `y` has shape \(3,\)"):
        ba.NPE(embeddings={"y": ResNet()}).train(linear.problem, linear.bank, seed=1)
    with pytest.raises(ValueError, match="names `nothing`, but the program's array arguments"):
        ba.NPE(embeddings={"y": SetNetwork(features=("nothing",))}).train(linear.problem, linear.bank, seed=1)
    with pytest.raises(ValueError, match="needs 20 simulations to train on"):
        ba.NPE().train(linear.problem, ba.simulate(linear.problem, 10, seed=1, progress=False), seed=1)
    with pytest.raises(ValueError, match="transformed by its logarithm"):
        ba.NPE(transforms={"y": "log"}).train(linear.problem, linear.bank, seed=1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"flow": "nsf"}, "`flow` to be one of"),
        ({"num_ensemble": 0}, "`num_ensemble` to be a whole number"),
        ({"dropout": 1.0}, "`dropout` from 0 to 0.9"),
        ({"transforms": {"y": "exp"}}, "must be one of .*'sqrt'"),
        ({"time_limit": -1}, "`time_limit` to be positive"),
        ({"decay": "linear"}, "`decay` to be one of"),
        ({"cache_bytes": -1}, "`cache_bytes` of at least 0"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(ValueError, match=message):
        ba.NPE(**setting)


def test_losses_that_are_not_finite_are_told(linear):
    z, x = linear.bank.rows(slice(None))
    x["y"][5] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the moments
        bank = ba.Bank.from_arrays(linear.problem, {"x": z}, x)
        with pytest.raises(ValueError, match="not finite"):
            ba.NPE(**QUICK).train(linear.problem, bank, seed=1, progress=False)


def test_precision_of_large_values():
    """Epochs of 2,459,000 days are standardised before they lose their digits."""

    def times():
        t = numpyro.sample("t", dist.Normal(2_459_000.0, 0.01))
        numpyro.sample("seen", dist.Normal(t, 0.001).expand([3]).to_event(1))

    problem = ba.Problem(times, observed={"seen": np.full(3, 2_459_000.01)})
    bank = ba.simulate(problem, 2000, seed=1, progress=False)
    trained = ba.NPE(**QUICK | {"max_epochs": 15, "num_transforms": 2}).train(problem, bank, seed=1, progress=False)
    draws = ba.fit(problem, trained, seed=1, progress=False)["posterior"]["t"].values
    assert abs(draws.mean() - 2_459_000.01) < 0.001
    assert draws.std() < 0.002


def test_variational_layers_are_many_networks(linear, npe):
    amortised = dataclasses.replace(npe, variational=True).train(linear.problem, linear.bank, seed=1, progress=False)
    result = ba.fit(linear.problem, amortised, seed=1, progress=False)
    assert 0 < result.attrs["epistemic_share"] < 0.1
    x, sd = result["posterior"]["x"].values.reshape(-1, 2), np.sqrt(np.diag(linear.covariance))
    assert (np.abs(x.mean(0) - linear.mean(Y)) < 0.3 * sd).all()
    found = amortised.log_prob(result["posterior"]["x"].values, {"y": np.broadcast_to(Y, (4, 3))})
    np.testing.assert_allclose(found, result["sample_stats"]["lp"], atol=2e-3)


def test_weights_posterior_is_that_of_linear_regression():
    """One variational layer, trained on y = w x + noise: the sds of its weights against the exact ones."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(400, 3, generator=generator)
    y = x @ torch.tensor([0.5, -0.2, 0.1]) + torch.randn(400, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = BayesianLinear(3, 1)
        optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
        for _ in range(1500):
            optimiser.zero_grad()
            loss = 0.5 * ((layer(x)[:, 0] - y) ** 2).sum() + layer.divergence()
            loss.backward()
            optimiser.step()
    precision = (x**2).sum(0) + 3  # of the data, and of the prior N(0, 1/3); mean-field takes its diagonal
    np.testing.assert_allclose(layer.log_sd.exp().detach()[0], precision**-0.5, rtol=0.15)
    exact = torch.linalg.solve(x.T @ x + 3 * torch.eye(3), x.T @ y)
    np.testing.assert_allclose(layer.mean.weight.detach()[0], exact, atol=0.03)
    layer.eval()
    layer.hold(torch.Generator().manual_seed(2))
    held = layer(x)
    np.testing.assert_array_equal(held.detach(), layer(x).detach())
    layer.hold(None)
    assert (layer(x) != held).any()
