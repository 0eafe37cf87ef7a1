"""Transients in numbers: stacks by length, laws of classes from draws, odd light curves, and calibration."""

import dataclasses

import jax
import numpy as np
import pytest
import transient_curves
from scipy import stats

import bayesastro as ba
from bayesastro.datasets import read_alerce
from bayesastro.inference.sequential import Sequential
from bayesastro.models.lightcurves import transient
from bayesastro.models.lightcurves.anomaly import anomaly
from bayesastro.models.lightcurves.class_estimate import maximised, rounds
from bayesastro.models.lightcurves.transient import BROAD, SHAPE, ClassPrior
from bayesastro.models.lightcurves.transient_nights import stacks

RNG = np.random.default_rng(4)


def test_stacks_hold_every_light_curve_once_and_as_it_is():
    curves = [transient_curves.curve(n, seed=n) for n in (5, 20, 7, 12)]
    laws = [ClassPrior(mean=BROAD.mean + i, covariance=(1 + i) * BROAD.covariance) for i in range(4)]
    found = stacks(curves, laws, lengths=(8, 16))
    assert [list(stack.numbers) for stack in found] == [[0, 2], [3], [1]]
    assert [stack.group.shape for stack in found] == [(2, 8), (1, 16), (1, 20)]
    for stack in found:
        for row, number in enumerate(stack.numbers):
            length = len(curves[number].time)
            np.testing.assert_array_equal(stack.group[row], [*range(length), *[-1] * (stack.group.shape[1] - length)])
            theta = {"shape": BROAD.mean}
            alone = transient.build(curves[number], laws[number])
            assert stack.batch[row].log_prior(theta)["shape"] == pytest.approx(alone.log_prior(theta)["shape"])
            together = stack.batch[row].log_likelihood(theta)["flux"]
            np.testing.assert_allclose(together[:length], alone.log_likelihood(theta)["flux"])
            assert (together[length:] == 0).all()
            assert np.isfinite(stack.time[row]).sum() == length
    with pytest.raises(ValueError, match="one prior for all or 4 of them, but 2 came"):
        stacks(curves, laws[:2])
    with pytest.raises(ValueError, match="at least one light curve"):
        stacks([])


def test_the_law_of_largest_density_is_at_a_stationary_point():
    """Moments of the draws and the prior, as the derivatives of the density say."""
    draws = BROAD.mean + RNG.normal(size=(9, 30, 15)) * np.linspace(0.1, 1.0, 15)
    law = maximised(draws)
    n, covariance = 9, law.covariance / (1 + 1 / 9)
    off = draws - law.mean
    typical = 0.16 * BROAD.covariance
    np.testing.assert_allclose(covariance, (4 * typical + np.einsum("isk,isl->kl", off, off) / 30) / 13, rtol=1e-8)
    gradient = n * np.linalg.solve(covariance, (draws - law.mean).mean((0, 1)))
    np.testing.assert_allclose(gradient, (law.mean - BROAD.mean) / np.diag(BROAD.covariance), rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="at least two members"):
        maximised(draws[:1])


def test_rounds_find_the_class():
    """Members seen with known normal errors, whose posteriors are normal: many members make the law that of the class."""
    truth = ClassPrior(mean=BROAD.mean + 0.5, covariance=0.2 * BROAD.covariance)
    error = 0.1 * np.diag(BROAD.covariance)
    shapes = RNG.multivariate_normal(truth.mean, truth.covariance, 600)
    seen = shapes + np.sqrt(error) * RNG.normal(size=shapes.shape)

    def fit(law):
        precision = np.linalg.inv(law.covariance) + np.diag(1 / error)
        covariance = np.linalg.inv(precision)
        centre = (np.linalg.solve(law.covariance, law.mean) + seen / error) @ covariance
        return centre[:, None] + RNG.multivariate_normal(np.zeros(15), covariance, (600, 40))

    *_, law = rounds(fit, num_rounds=15)
    sd = np.sqrt(np.diag(truth.covariance))
    assert (np.abs(law.mean - truth.mean) < 5 * sd * np.sqrt(1.5 / 600)).all()
    np.testing.assert_allclose(np.sqrt(np.diag(law.covariance)) / sd, 1.0, atol=5 * 1.5 / np.sqrt(1200))


def cut(curve, keep):
    names = ("time", "band", "flux", "sigma", "limit", "is_detection")
    return dataclasses.replace(curve, **{name: getattr(curve, name)[keep] for name in names})


@pytest.fixture(scope="module")
def odd():
    """Light curves of one band, of one point, and of one detection among points without."""
    curve = transient_curves.curve(16)
    seen = np.flatnonzero(curve.is_detection)
    curve = dataclasses.replace(curve, flux=np.where(curve.is_detection, curve.flux, 0.0))
    one_band = dataclasses.replace(curve, band=np.zeros(16, int))
    one_point = cut(curve, seen[:1])
    once = cut(curve, np.concatenate([np.flatnonzero(~curve.is_detection), seen[-1:]]))
    return [one_band, one_point, once]


def test_bands_without_data_one_point_and_hardly_a_detection_are_followed(odd):
    """What the data do not tell is left as the prior has it; of one point its flux is scored."""
    (stack,) = stacks(odd, lengths=(16,))
    found = Sequential(num_particles=400).follow_many(stack.batch, stack.group, seed=1, chunk=1)
    score = anomaly(found, stack.time)
    assert np.isfinite(score["final_score"]).all()
    assert float(score["variance"][1].sum()) == pytest.approx(2.0)
    shape = found["coordinates"].to_numpy()
    sd = np.sqrt(np.diag(BROAD.covariance))
    untold = {0: [i for i, name in enumerate(SHAPE) if name.endswith("_g_r")], 1: [SHAPE.index("log_fall_r")]}
    assert (np.abs(shape[1].mean(0) - BROAD.mean)[untold[1]] < 0.5 * sd[untold[1]]).all()
    assert (shape[0].std(0)[untold[0]] > 0.4 * sd[untold[0]]).all()
    assert np.isfinite(found["log_evidence"]).all()


def test_nothing_but_non_detections_is_refused(odd):
    nothing = dataclasses.replace(odd[2], is_detection=np.zeros(len(odd[2].time), bool))
    with pytest.raises(ValueError, match="`simulated` has no detection, from the first of which times count"):
        stacks([odd[0], nothing])


@pytest.fixture(scope="module")
def exposures():
    time = np.repeat(np.linspace(-10.0, 60.0, 12), 2)
    return dataclasses.replace(
        transient_curves.curve(24), time=58000.0 + time, band=np.tile([0, 1], 12), is_detection=np.arange(24) == 6
    )


@pytest.mark.slow
def test_transients_are_calibrated(exposures):
    """Ranks of the fifteen numbers under simulations of which some have hardly a detection."""
    problem = transient.build(exposures)
    engine = ba.NUTS(num_chains=2, num_warmup=400, num_draws=200, target_accept=0.9)
    report = ba.calibrate(problem, engine, num_simulations=100, seed=1, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_predictions_and_scores_are_calibrated(exposures):
    """On simulations: transforms are uniform, and scores standard normal; chances of a false alarm are 0.001 each."""
    problem = transient.build(exposures)
    flux = problem.simulate(150, key=jax.random.key(3)).observables["flux"]
    batch = problem.batch(observed={"flux": flux})
    place = np.tile(np.arange(24), (150, 1))
    found = Sequential(num_particles=300, num_moves=1).follow_many(batch, place, seed=2, chunk=1)
    pit = found["pit"].to_numpy()
    assert stats.kstest(pit.ravel(), "uniform").pvalue > 1e-3
    for half in (pit[:, :12], pit[:, 12:]):
        assert stats.kstest(half.ravel(), "uniform").pvalue > 1e-3
    score = anomaly(found, np.tile(np.arange(1.0, 25.0), (150, 1)))["final_score"].to_numpy()
    assert stats.kstest(score, "norm").pvalue > 1e-3


@pytest.mark.slow
def test_real_supernovae(published_file):
    """Of Sánchez-Sáez et al.'s thirty, types other than Ia stand out by their score; fluxes of Ia are as predicted.

    No Ia is judged by a law that it helped to make. Transforms of Ia are uniform to a chance of a false alarm of 0.001.
    """
    kinds = ("detections_corr", "non_detections", "labels")
    curves = read_alerce(*(published_file(f"lc_ztf_alerce/30_sne_{kind}.csv") for kind in kinds))
    is_other = np.array([curve.label != "SNIa" for curve in curves])
    members = np.flatnonzero(~is_other)
    engine = Sequential(num_particles=200, num_moves=1)

    def law_of(some):
        def fit(law):
            draws = np.zeros((len(some), 200, len(SHAPE)))
            for stack in stacks([curves[i] for i in some], law, lengths=(32, 100)):
                at_once = np.where(stack.group >= 0, 0, -1)
                draws[stack.numbers] = engine.follow_many(stack.batch, at_once, seed=1, chunk=1)["coordinates"]
            return draws

        *_, law = rounds(fit, num_rounds=5)
        return law

    halves = members[::2], members[1::2]
    laws = [law_of(members)] * len(curves)
    for half, other in (halves, halves[::-1]):
        law = law_of(other)
        for i in half:
            laws[i] = law
    final, residuals = np.zeros(len(curves)), []
    for stack in stacks(curves, laws, lengths=(32, 100)):
        followed = engine.follow_many(stack.batch, stack.group, seed=2, chunk=1)
        score = anomaly(followed, stack.time)
        final[stack.numbers] = score["final_score"]
        residuals.append(score["flux_residual"].to_numpy()[~is_other[stack.numbers]].ravel())
    others, own = final[is_other], final[~is_other]
    # 11 others and 19 Ia: under no separation the area is 0.5 with a standard deviation of 0.11.
    assert np.mean(others[:, None] > own) > 0.85
    residual = np.concatenate(residuals)
    assert stats.kstest(residual[np.isfinite(residual)], "norm").pvalue > 1e-3
