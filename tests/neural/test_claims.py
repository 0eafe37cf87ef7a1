"""What `NPE` and `Classifier` are good for, in numbers: slow tests."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import light_curve
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro.inference.neural.embeddings import Dense
from benchmarks import sbibm

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("method", sbibm.METHODS)
@pytest.mark.parametrize("name", sbibm.TASKS)
def test_posteriors_are_nearer_the_exact_ones_than_published(name, method):
    """Classifier two-sample tests on three data sets, at 10,000 simulations."""
    task = sbibm.TASKS[name]()
    assert np.mean(sbibm.scores(task, sbibm.trained(task, method))) < task.published[method]


def test_the_exact_draws_are_exact():
    """Of the only task without a closed form: moments by importance sampling from the prior."""
    task, random = sbibm.slcp(), np.random.default_rng(1)
    x = np.array([[0.5, -0.6], [1.5, 0.4], [-0.9, -0.4], [0.9, -1.6]])
    draws = np.abs(task.exact(x, 20_000, random))
    theta = {"theta": random.uniform(-3, 3, (2_000_000, 5))}
    problem = task.problem.replace(observed={"x": x})
    log_weight = problem.log_likelihood(theta, batch_ndims=1)["x"].reshape(2_000_000, -1).sum(-1)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = weight @ np.abs(theta["theta"])
    error = np.sqrt(draws.var(0) * (1 / 20_000 + (weight**2).sum()))
    assert np.abs((draws.mean(0) - mean) / error).max() < 4.5


@functools.cache
def light_curves():
    """The problem, its bank of 20,000 simulations, and NPE trained on that."""
    problem = light_curve.problem()
    bank = ba.simulate(problem, 20_000, seed=1, progress=False)
    settings = ba.NPE(
        num_transforms=3,
        hidden=128,
        batch_size=128,
        weight_decay=0.3,
        num_ensemble=3,
        patience=12,
        embeddings={"flux": Dense(width=256, depth=3)},
    )
    return problem, bank, settings.train(problem, bank, seed=1, progress=False)


def test_light_curves_are_calibrated():
    """Not better than this: at a false-alarm rate of 1 % the joint log-likelihood tells draws from truths."""
    problem, _, trained = light_curves()
    report = ba.calibrate(problem, trained, num_simulations=300, seed=4, progress=False, false_alarm=0.001)
    assert report.verdict == "pass", str(report)


def test_corrected_light_curves_are_exact():
    """Against NUTS by a classifier, and nested sampling by the evidence; and calibrated at any rate."""
    problem, _, trained = light_curves()
    flux = problem.simulate(3, key=jax.random.key(5)).observables["flux"]
    names = [site.name for site in problem.parameters]
    for i in range(3):
        one = problem.replace(observed={"flux": flux[i]})
        engines = {
            "corrected": ba.Corrected(trained, num_proposals=20_000, num_draws=500),
            "exact": ba.NUTS(num_draws=500, thin=8),
        }
        found = {k: ba.fit(one, engine, seed=i, progress=False) for k, engine in engines.items()}
        draws = {k: np.stack([r["posterior"][n].values.ravel() for n in names], -1) for k, r in found.items()}
        assert sbibm.c2st(draws["exact"], draws["corrected"], seed=i) < 0.55
        nested = ba.fit(one, ba.NestedSampler(num_live=400, refine=4000), seed=i, progress=False)
        assert abs(found["corrected"].attrs["log_evidence"] - nested.attrs["log_evidence"]) < 0.1
    report = ba.calibrate(problem, ba.Corrected(trained), num_simulations=300, seed=4, progress=False)
    assert report.verdict == "pass", str(report)


def test_too_little_training_is_found_out():
    problem, bank, _ = light_curves()
    short = ba.NPE(max_epochs=1, batch_size=2000).train(problem, bank, seed=1, progress=False)
    report = ba.calibrate(problem, short, num_simulations=300, seed=4, progress=False)
    assert not report.checks.loc[["ranks", "coverage", "tarp_data"], "passed"].all(), str(report)


def falling(time, is_bumped):
    amplitude = numpyro.sample("amplitude", dist.LogNormal(0.0, 0.5))
    start = numpyro.sample("start", dist.Normal(10.0, 5.0))
    rise = numpyro.sample("rise", dist.LogNormal(1.4, 0.3))
    fall = numpyro.sample("fall", dist.LogNormal(3.0, 0.3))
    phase = time - start
    mean = amplitude * jnp.exp(-phase / fall + jax.nn.log_sigmoid(phase / rise))
    if is_bumped:
        bump = numpyro.sample("bump", dist.Beta(2.0, 4.0))
        mean = mean + 0.6 * bump * amplitude * jnp.exp(-0.5 * ((phase - 30.0) / 8.0) ** 2)
    numpyro.sample("flux", dist.Normal(mean, 0.1).to_event(1))


def test_an_ensemble_tells_light_curves_apart_reliably():
    """With a second bump or without one, at 20,000 simulations of each."""
    time = np.linspace(-20.0, 80.0, 40)
    problems = {n: ba.Problem(falling, time, b, observed={"flux": time}) for n, b in (("plain", False), ("bump", True))}
    banks = {name: ba.simulate(problem, 20_000, seed=1, progress=False) for name, problem in problems.items()}
    classifier = ba.Classifier(num_ensemble=5).train(problems, banks, seed=1, progress=False)
    report = ba.reliability(classifier, problems, num_simulations=2000, seed=1, progress=False)
    assert report.verdict == "pass", str(report)
    assert report.scores["prior_log_score"] - report.scores["log_score"] > 0.25


STREAMED = """
import sys
import numpy as np, numpyro, numpyro.distributions as dist
import bayesastro as ba

def program():
    x = numpyro.sample("x", dist.Normal(0.0, 1.0).expand([4]).to_event(1))
    numpyro.sample("y", dist.Normal(np.linspace(-1.0, 1.0, 200)[:, None] * np.ones(4) @ x, 1.0).to_event(1))

problem = ba.Problem(program, observed={"y": np.zeros(200)})
if sys.argv[2] == "simulate":
    ba.simulate(problem, 1_000_000, seed=1, path=sys.argv[1], progress=False)
else:
    bank = ba.Bank.open(sys.argv[1])
    amortised = ba.NPE(flow="affine", max_epochs=1).train(problem, bank, seed=1, progress=False)
    assert len(bank) == 1_000_000 and len(amortised.posterior.histories[0].validation) == 1
# Not `ru_maxrss`, which a process takes over from the one that started it.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_million_rows_stream_through_training(tmp_path):
    """A bank of 1.6 GB, and less than 2 GB of memory for everything that training needs."""
    for what in ("simulate", "train"):
        command = [sys.executable, "-c", STREAMED, str(tmp_path / "bank"), what]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 2 * 2**20, found.stdout  # kB
