"""The anomaly score: standard normal under its own assumptions, whatever is censored, and blind to padding."""

import numpy as np
import pytest
import xarray as xr
from matrix import Z
from scipy import integrate, stats

from bayesastro.models.lightcurves.anomaly import anomaly

RNG = np.random.default_rng(5)


def followed(uniform, mass):
    """As if by SMC: values below `mass` were not detected, and their probabilities lie anywhere in there."""
    is_atom = uniform < mass
    pit = np.where(is_atom, mass * RNG.uniform(size=uniform.shape), uniform)
    columns = {"pit": pit, "atom_low": np.zeros_like(mass), "atom_high": mass, "log_predictive": np.zeros_like(mass)}
    return xr.Dataset({name: (("dataset", "datum"), column) for name, column in columns.items()})


@pytest.mark.parametrize("largest", [1e-9, 0.5, 0.999])
def test_scores_are_standard_normal_under_the_model(largest):
    num, length = 4000, 60
    mass = RNG.uniform(0, largest, (num, length))
    score = anomaly(followed(RNG.uniform(size=(num, length)), mass), np.tile(np.arange(1.0, length + 1), (num, 1)))
    assert abs(score["surprise"].mean() - 1) < Z * np.sqrt(float(score["variance"].mean()) / (num * length))
    for place in (9, -1):
        found = score["score"][:, place].to_numpy()
        assert abs(found.mean()) < Z / np.sqrt(num) + 0.02  # the cube root is not quite normal
        assert abs(found.std() - 1) < Z / np.sqrt(2 * num) + 0.05
    np.testing.assert_allclose(score["final_score"], score["score"][:, -1])


def test_the_variance_is_that_of_what_may_come():
    for low, high in ((0.0, 0.3), (0.0, 0.95), (0.02, 0.6)):
        one = xr.Dataset({n: ("datum", [v]) for n, v in (("pit", 0.97), ("atom_low", low), ("atom_high", high))})
        one["log_predictive"] = ("datum", [0.0])
        score = anomaly(one, [1.0])
        assert float(score["surprise"][0]) == pytest.approx(stats.norm.ppf(0.97) ** 2)
        z = stats.norm.ppf([low, high])
        square = lambda x: x**2 * stats.norm.pdf(x)  # noqa: E731
        of_atom = integrate.quad(square, *z)[0] / (high - low)
        spread = lambda x: (x**2 - 1) ** 2 * stats.norm.pdf(x)  # noqa: E731
        rest = integrate.quad(spread, -np.inf, z[0])[0] + integrate.quad(spread, z[1], np.inf)[0]
        assert float(score["variance"][0]) == pytest.approx(rest + (high - low) * (of_atom - 1) ** 2, abs=1e-6)
        one["pit"] = ("datum", [0.5 * (low + high)])
        assert float(anomaly(one, [1.0])["surprise"][0]) == pytest.approx(of_atom, abs=1e-6)


def test_data_that_could_tell_nothing_count_for_nothing():
    mass = np.array([[1e-12, 1e-12, 1.0 - 1e-10, 1.0 - 1e-10]])
    score = anomaly(followed(np.array([[0.3, 0.9, 0.5, 0.5]]), mass), [[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(score["score"][0, 2:], score["score"][0, 1], atol=1e-6)


def test_what_is_left_out():
    pit = RNG.uniform(size=(2, 5))
    one = followed(pit, np.zeros((2, 5)))
    one["pit"][1, 4] = np.nan
    one["log_predictive"][1, 4] = np.nan
    time = np.array([[-3.0, -1.0, 1.0, 2.0, 3.0], [-1.0, 1.0, 2.0, 3.0, np.nan]])
    score = anomaly(one, time)
    assert np.isnan(score["score"].to_numpy()[0, :2]).all()
    assert np.isnan(score["residual"].to_numpy()).sum() == 4
    z = stats.norm.ppf(pit[0, 2:])
    np.testing.assert_allclose(score["mean_square"][0, 2:], np.cumsum(z**2) / [1, 2, 3])
    np.testing.assert_allclose(score["final_score"][1], score["score"][1, 3])


def test_of_the_first_detection_its_flux_is_scored_and_not_that_it_is_detected():
    one = followed(np.array([[0.2, 0.96, 0.3]]), np.array([[0.5, 0.9, 0.1]]))
    score = anomaly(one, [[-1.0, 0.0, 1.0]])
    np.testing.assert_allclose(score["residual"][0, 1:], stats.norm.ppf([0.6, 0.3]))
    np.testing.assert_allclose(score["flux_residual"][0], [np.nan, *stats.norm.ppf([0.6, 0.2 / 0.9])])
    assert float(score["variance"][0, 1]) == pytest.approx(2.0)
    same = followed(np.array([[0.2, 0.05, 0.3]]), np.array([[0.5, 0.9, 0.1]]))
    assert float(anomaly(same, [[-1.0, 0.0, 1.0]])["variance"][0, 1]) < 2.0


def test_wrong_arguments_are_refused():
    one = followed(RNG.uniform(size=(2, 5)), np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"the shape of the data followed, \(2, 5\), but \(4,\) came"):
        anomaly(one, np.arange(4.0))
    one["pit"][0, 0] = np.nan
    with pytest.raises(ValueError, match="no distribution function"):
        anomaly(one, np.ones((2, 5)))
