"""Starting from a smaller problem: what is known is taken over, the rest comes from the prior given it."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from matrix import Z

import bayesastro as ba

X = np.linspace(0.0, 1.0, 20)


def program(x, is_bent):
    slope = numpyro.sample("slope", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
    bend = numpyro.sample("bend", dist.Normal(slope[0], 0.5)) if is_bent else 0.0
    numpyro.sample("y", dist.Normal(slope[0] * x + slope[1] + bend * x**2, 0.1).to_event(1))


STRAIGHT, BENT = (ba.Problem(program, X, is_bent=is_bent, observed={"y": 3 * X - 1}) for is_bent in (False, True))


@pytest.fixture(scope="module")
def first():
    return ba.fit(STRAIGHT, ba.NUTS(num_chains=2, num_warmup=200, num_draws=60), seed=1, progress=False)


def test_known_latents_are_taken_over_and_others_drawn_given_them(first):
    start = ba.start_from(BENT, first, seed=2, num=300)
    assert start.attrs == {"known": ["slope"], "drawn": ["bend"]}
    slope, bend = start["posterior"]["slope"].values[0], start["posterior"]["bend"].values[0]
    known = first["posterior"]["slope"].values.reshape(-1, 2)
    assert {tuple(row) for row in slope} == {tuple(row) for row in known}
    off = (bend - slope[:, 0]) / 0.5
    assert abs(off.mean()) < Z / np.sqrt(300)
    assert abs(off.var() - 1) < Z * np.sqrt(2 / 300)
    result = ba.fit(BENT, ba.NUTS(num_warmup=200, num_draws=60), seed=3, start=start, progress=False)
    assert result.attrs["status"] == "complete"


def test_values_of_one_s_own():
    start = ba.start_from(BENT, {"slope": [3.0, -1.0]}, seed=2, num=5)
    np.testing.assert_array_equal(start["posterior"]["slope"].values[0], np.tile([3.0, -1.0], (5, 1)))


def test_all_known_is_the_result_itself(first):
    start = ba.start_from(STRAIGHT, first, seed=2, num=120)
    np.testing.assert_array_equal(
        start["posterior"]["slope"].values.ravel(), first["posterior"]["slope"].values.ravel()
    )


def test_refusals(first):
    with pytest.raises(ValueError, match=r"`slope` has shape \(3,\) in `known`, but \(2,\)"):
        ba.start_from(BENT, {"slope": np.zeros(3)}, seed=1)
    with pytest.raises(ValueError, match="must be of latents of the problem, slope, bend, but slop came"):
        ba.start_from(BENT, {"slop": np.zeros(2)}, seed=1)
    with pytest.raises(ValueError, match="but nothing came"):
        ba.start_from(BENT, {}, seed=1)
    with pytest.raises(ValueError, match="no posterior draws"):
        ba.start_from(BENT, ba.predict(BENT, num=3, seed=1), seed=1)
    other = ba.Problem(lambda: numpyro.sample("other", dist.Normal()), observed={})
    with pytest.raises(ValueError, match="none of the latents of the problem, other; it has slope"):
        ba.start_from(other, first, seed=1)
    with pytest.raises(ValueError, match="`num` must be at least 1"):
        ba.start_from(BENT, first, seed=1, num=0)
    with pytest.raises(ValueError, match=r"let the others come from the prior: `start=start_from"):
        ba.fit(BENT, ba.NUTS(), seed=1, start=first, progress=False)
