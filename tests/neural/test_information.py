"""`information` is that of a linear Gaussian; less for lossy summaries, none for what says nothing."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from linear import SIGMA, A

import bayesastro as ba
from bayesastro.inference.neural.embeddings import Dense

ESTIMATOR = ba.NPE(flow="affine", num_transforms=2, hidden=32, max_epochs=20, batch_size=128)

QUICK = ba.NPE(flow="affine", num_transforms=1, hidden=8, max_epochs=1, batch_size=128)


def exact(design):
    return 0.5 * np.linalg.slogdet(np.eye(2) + design.T @ design / SIGMA**2)[1]


def first(x):
    return x["y"][:, 0]


def two(x):
    return x["y"][:, :2]


@pytest.fixture(scope="module")
def found(linear):
    summaries = {"one": first, "two": two, "all": None}
    return {
        name: ba.information(linear.problem, linear.bank, summary, seed=1, estimator=ESTIMATOR, progress=False)
        for name, summary in summaries.items()
    }


def test_it_is_the_exact_one(found):
    for name, design in (("one", A[:1]), ("two", A[:2]), ("all", A)):
        estimate = found[name]
        # Four errors, and what a flow has not learnt after so short a training.
        assert -0.1 - 4 * estimate.error < estimate.nats - exact(design) < 4 * estimate.error
        assert 0.01 < estimate.error < 0.06
        assert estimate.bits == pytest.approx(estimate.nats / np.log(2))
        assert 700 < estimate.num_held_out < 900
        assert len(estimate.histories[0].validation) == 20


def test_no_function_of_the_data_has_more(found):
    assert found["one"].nats < found["two"].nats < found["all"].nats
    assert "all data" in repr(found["all"])
    assert "a function of the data" in repr(found["one"])


class NoDensity(dist.Normal):
    def log_prob(self, value):
        raise NotImplementedError


def dusty():
    scale = numpyro.sample("scale", dist.LogNormal(1.0, 1.0))
    numpyro.sample("dust", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    numpyro.sample("y", NoDensity(scale, 0.1))


def test_what_says_nothing_has_none_and_no_likelihood_is_needed():
    problem = ba.Problem(dusty, observed={"dust": np.zeros(2), "y": 1.0})
    bank = ba.simulate(problem, 3000, seed=1, progress=False)
    settings = {"seed": 1, "estimator": ESTIMATOR, "progress": False}
    nothing = ba.information(problem, bank, "dust", **settings)
    assert -0.03 < nothing.nats < 4 * nothing.error
    assert "`dust`" in repr(nothing)
    assert ba.information(problem, bank, ["y"], **settings).nats > 1


def test_failed_rows_lower_the_bound(linear):
    """Rows fail at random: what is lost is the logarithm of the fraction that did not."""
    z, x = linear.bank.rows(slice(None))
    y = x["y"].copy()
    y[::4] = np.nan
    bank = ba.Bank.from_arrays(linear.problem, {"x": z}, {"y": y})
    with pytest.warns(UserWarning, match="failed and are left out"):
        found = ba.information(linear.problem, bank, two, seed=1, estimator=ESTIMATOR, progress=False)
    assert abs(found.nats - np.log(0.75) - exact(A[:2])) < 0.1 + 4 * found.error


def test_rows_held_out_are_not_trained_on(linear, monkeypatch):
    class Stopped(Exception):  # noqa: N818
        pass

    def stopped(self, problem, rows, *_):
        raise Stopped(rows)

    monkeypatch.setattr(ba.NPE, "learnt", stopped)
    with pytest.raises(Stopped) as caught:
        ba.information(linear.problem, linear.bank, seed=1, estimator=QUICK, progress=False)
    rows = caught.value.args[0]
    for seed in (1, 2):
        training, validation = rows.split(0.1, seed=seed)
        assert not (rows.held_out & (training | validation)).any()
        assert (rows.held_out | training | validation).all()


def test_what_does_not_fit_is_refused(linear):
    def run(summary=None, problem=linear.problem, bank=linear.bank, **settings):
        ba.information(problem, bank, summary, **{"seed": 1, "estimator": QUICK, "progress": False} | settings)

    with pytest.raises(ValueError, match=r"`summary` must name observed sites among \['y'\], but \['flux'\]"):
        run("flux")
    with pytest.raises(ValueError, match=r"must return an array of shape \(2,\) or \(2, k\)"):
        run(lambda x: x["y"].mean())
    with pytest.raises(ValueError, match="not finite"):
        run(lambda x: np.nan * x["y"])
    with pytest.raises(ValueError, match="needs 100 rows held out"):
        run(bank=ba.simulate(linear.problem, 300, seed=1, progress=False))
    with pytest.raises(ValueError, match="`test_fraction` must be from"):
        run(test_fraction=1.0)
    with pytest.raises(ValueError, match="another value of the argument `design`"):
        run(problem=linear.problem.replace(2 * A))
    with pytest.raises(TypeError, match="`estimator` must be an `NPE`"):
        run(estimator=ba.NUTS())
    with pytest.raises(TypeError, match="needs a `Problem` and a `Bank`"):
        run(bank=None)
    with pytest.raises(ValueError, match="`flux` is not observed"):
        run(estimator=ba.NPE(embeddings={"flux": Dense()}))

    def improper():
        x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))
        numpyro.sample("y", dist.Normal(x, 1.0))

    problem = ba.Problem(improper, observed={"y": 1.0})
    random = np.asarray(jax.random.normal(jax.random.key(1), (2, 300)))
    with pytest.raises(ValueError, match="needs a proper prior"):
        run(problem=problem, bank=ba.Bank.from_arrays(problem, {"x": random[0]}, {"y": random[1]}))
