"""`check_local`: L-C2ST of amortised posteriors that are right, and wrong in known places."""

import functools
from dataclasses import dataclass, fields, replace

import jax.numpy as jnp
import linear as linear_gaussian
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import binom

import bayesastro as ba
from bayesastro.calibration.two_sample import Place, local_test
from bayesastro.inference.neural.posterior import Drawn, NeuralPosterior

NUM = 2000
"""Simulations; of one number, so that few functions are compiled."""

DEFECTS = (
    "none",
    "shifted here",
    "half width here",
    "wrong correlation here",
    "shifted elsewhere",
    "half width elsewhere",
)
"""Here is where the first datum is positive, as the observed one is; elsewhere, where it is below -1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Exact(NeuralPosterior):
    """Draws of the posterior in closed form, or with a defect in a region of the data."""

    law: linear_gaussian.Linear
    defect: str = "none"

    def draw(self, observed, num, seeds):
        y = observed["y"]
        normals = np.stack([np.random.default_rng(seed).normal(size=(num, 2)) for seed in seeds])
        there = (y[:, 0] < -1 if "elsewhere" in self.defect else y[:, 0] > 0)[:, None, None]
        factor, sd = np.linalg.cholesky(self.law.covariance), np.sqrt(np.diag(self.law.covariance))
        z = normals @ factor.T
        if "half width" in self.defect:
            z = np.where(there, 0.5, 1.0) * z
        if "wrong correlation" in self.defect:
            z = np.where(there, normals * sd, z)
        z = z + self.law.mean(y)[:, None] + ("shifted" in self.defect) * 0.5 * there * sd
        return Drawn(z, np.zeros(z.shape[:2]), np.zeros(len(y)), np.full((len(y), 2), np.nan))


@pytest.fixture(scope="module")
def law():
    return linear_gaussian.Linear()


@pytest.fixture(scope="module")
def trained(law):
    """A network that has only just begun to learn."""
    npe = ba.NPE(flow="affine", num_transforms=1, hidden=8, max_epochs=1, batch_size=512)
    return npe.train(law.problem, law.bank, seed=1, progress=False)


@pytest.fixture(scope="module")
def exact(law, trained):
    def make(defect="none"):
        kept = {f.name: getattr(trained.posterior, f.name) for f in fields(NeuralPosterior)}
        return replace(trained, posterior=Exact(**kept, law=law, defect=defect))

    return make


@pytest.fixture(scope="module")
def report_of(law, exact):
    """Reports, each made once."""
    return functools.cache(lambda defect: checked(law, exact(defect)))


def checked(law, amortised, num_simulations=NUM, seed=1, **options):
    return ba.check_local(law.problem, amortised, num_simulations=num_simulations, seed=seed, progress=False, **options)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_posterior_is_judged_where_the_observed_data_are(report_of, defect):
    report = report_of(defect)
    assert report.verdict == ("fail" if "here" in defect.split() else "pass"), str(report)


def test_a_shift_is_put_into_words_and_numbers(report_of):
    """The first direction is that of `x[0]` itself; what is estimated errs towards none."""
    report = report_of("shifted here")
    table = report.parameters()
    assert -0.7 < table.at["x[0]", "shift"] < -0.25
    assert abs(table.at["x[0]", "shift"]) > 2 * table.at["x[0]", "shift_null"]
    assert "posterior sd from the draws" in str(report)
    assert str(report).startswith("fail: the posterior at the observed data, by 2000 simulations")
    # Truths lie below the draws, so that the posterior has too few draws where these are low.
    low = report.draws[0]["x[0]"] < report.draws[0]["x[0]"].mean()
    assert report.probabilities()[low].mean() > report.probabilities()[~low].mean() + 0.05


def test_a_width_is_put_into_words_and_numbers(report_of):
    report = report_of("half width here")
    assert (report.parameters()["spread"] > 1.15).all()
    assert "times as much as the draws" in str(report)


def test_several_data_sets_share_one_rate(law, exact):
    y = np.array([[0.5, -0.2, 0.3], [-1.0, 0.1, 0.0], [1.0, 0.4, 0.1]])
    report = checked(law, exact("shifted here"), observed={"y": y})
    np.testing.assert_array_equal(report.passed, [False, True, False])
    assert report.verdict == "fail"
    assert str(report).count("data set ") == 3
    table = report.summary()
    assert list(table.columns) == ["statistic", "null_mean", "p", "passed", "plausible"]
    assert (table["statistic"] > table["null_mean"])[[0, 2]].all()


@pytest.mark.slow
def test_a_network_that_has_learnt_little_fails_and_a_trained_one_passes(law, trained):
    assert checked(law, trained).verdict == "fail"
    npe = ba.NPE(flow="affine", num_transforms=2, hidden=32, max_epochs=12, batch_size=128)
    assert checked(law, npe.train(law.problem, law.bank, seed=1, progress=False)).verdict == "pass"


def sloped(t):
    x = numpyro.sample("x", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    numpyro.sample("y", dist.Normal(x[0] + x[1] * t, 2.0).to_event(1))


@pytest.mark.slow
def test_data_of_many_values_are_seen_through_the_networks_summary():
    t = np.linspace(-1, 1, 40)
    y = 0.5 - 0.7 * t + 2.0 * np.random.default_rng(1).normal(size=40)
    problem = ba.Problem(sloped, t, observed={"y": y})
    bank = ba.simulate(problem, 4000, seed=1, progress=False)
    npe = ba.NPE(flow="affine", num_transforms=2, hidden=32, batch_size=128)
    for settings, verdict in ((replace(npe, max_epochs=1), "fail"), (npe, "pass")):
        trained = settings.train(problem, bank, seed=1, progress=False)
        report = ba.check_local(problem, trained, num_simulations=NUM, seed=1, progress=False)
        assert report.attributes["classified_by"] == "summary"
        assert report.verdict == verdict, str(report)


def test_the_same_seed_gives_the_same_report(law, trained):
    a, b, c = (checked(law, trained, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.tests[0].statistics, b.tests[0].statistics)
    assert a.p[0] == b.p[0]
    assert not np.array_equal(a.tests[0].statistics, c.tests[0].statistics)


def test_data_unlike_simulations_are_told(law, exact):
    """Some 8 sds from what the program gives in a direction that no parameters reach."""
    out = np.linalg.svd(linear_gaussian.A)[0][:, 2]
    report = checked(law, exact(), observed={"y": np.stack([linear_gaussian.Y, linear_gaussian.Y + 3 * out])})
    assert [found.verdict for found in report.plausibility] == ["pass", "fail"]
    assert "the network has hardly seen such data" in str(report)
    assert ("y", "largest") in report.plausibility[1].features.index


def test_pictures_show_the_band_and_the_maps(report_of):
    figure = report_of("shifted here").plot()
    assert [axis.get_title() for axis in figure.axes[:2]] == ["P–P plot", "too few draws: red"]
    plt.close(figure)


def test_a_replicate_of_swapped_pairs_is_the_statistic_of_swapped_samples():
    random = np.random.default_rng(0)
    first, second, x = random.normal(size=(300, 2)) + 1, random.normal(size=(300, 2)), random.normal(size=(300, 3))
    place = Place(x[0], second[:50])
    tests = [
        local_test(*pair, x, [place], 3, np.random.default_rng(1))[0] for pair in ((first, second), (second, first))
    ]
    np.testing.assert_allclose(tests[0].statistics, tests[1].statistics)
    np.testing.assert_allclose(tests[0].probabilities, 1 - tests[1].probabilities)
    assert tests[0].statistics[0] > tests[0].statistics[1:].max()


@pytest.mark.parametrize(
    ("engine", "error", "message"),
    [
        (ba.NUTS(), TypeError, 'needs an `Amortised` one, but `NUTS` came. Use `calibrate.problem, engine, near="obs'),
        (ba.NPE(), TypeError, "has to be trained before `check_local`"),
        ("npe", TypeError, "needs an engine such as"),
    ],
)
def test_other_engines_are_refused_with_a_remedy(law, engine, error, message):
    with pytest.raises(error, match=message):
        checked(law, engine)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_simulations": 100}, "`num_simulations` of at least 500"),
        ({"false_alarm": 1e-5}, "`false_alarm` must be from 0.001 to 1"),
        ({"seed": -1}, "seed"),
        ({"observed": {"z": np.zeros((1, 3))}}, "observed site `y` are needed"),
        ({"observed": {"y": np.zeros(3)}}, "was trained with shape"),
    ],
)
def test_what_makes_no_sense_is_refused(law, trained, options, message):
    with pytest.raises(ValueError, match=message):
        checked(law, trained, **options)


@pytest.mark.slow
def test_a_right_posterior_fails_at_the_stated_rate(law, exact):
    """200 times at 5 %: from 1 to 24 alarms but once in 10⁴ times, were the rate 5 %."""
    engine = exact()
    alarms = sum(checked(law, engine, seed=seed, false_alarm=0.05).verdict == "fail" for seed in range(200))
    assert binom.ppf(5e-5, 200, 0.05) <= alarms <= binom.isf(5e-5, 200, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "num_simulations", "least", "most"),
    [
        ("shifted here", 1000, 0.8, 1.0),
        ("half width here", 1000, 0.9, 1.0),
        ("wrong correlation here", 4000, 0.7, 1.0),
        ("shifted elsewhere", 4000, 0.0, 0.1),
        ("half width elsewhere", 4000, 0.0, 0.1),
    ],
)
def test_power_here_and_silence_elsewhere(law, exact, defect, num_simulations, least, most):
    """A right table fails here once in some 10⁴ times for each defect; at a false-alarm rate of 1 %."""
    engine = exact(defect)
    found = sum(checked(law, engine, num_simulations, seed).verdict == "fail" for seed in range(20))
    assert binom.ppf(1e-4, 20, least) <= found <= binom.isf(1e-4, 20, most), found / 20
