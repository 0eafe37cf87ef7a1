"""X-ray images of the sky by GeoVI: residuals are noise, known sources are points, and the cluster is diffuse."""

import json

import numpy as np
import pytest

import bayesastro as ba
from bayesastro.models.fields.examples import abell_1835_settings, sagittarius_a_settings
from benchmarks import xray_image as images

pytestmark = pytest.mark.slow


def aperture(grid, row, column, radius):
    rows, columns = np.indices(grid)
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def residuals(problem, result):
    """Of counts in squares of 4 x 4 pixels that are seen, over the root of the mean expected, and those means."""
    expected = result["posterior"]["expected"].mean(("chain", "draw")).values
    seen = problem.covariates["exposure"] > 0
    o, b, ny, nx = seen.shape
    ny, nx = ny // 4 * 4, nx // 4 * 4

    def binned(image):
        cut = np.where(seen, image, 0.0)[:, :, :ny, :nx]
        return cut.reshape(o, b, ny // 4, 4, nx // 4, 4).sum((3, 5))

    counts, mean = binned(problem.observed["counts"]), binned(expected)
    # Squares of a few counts and more are nearly normal.
    used = mean > 4
    return (counts[used] - mean[used]) / np.sqrt(mean[used])


@pytest.fixture(scope="module")
def cluster(published_data):
    published_data("abell_1835")
    return images.fitted(abell_1835_settings(), images.engine(), 1)


@pytest.fixture(scope="module")
def centre(published_data):
    published_data("sagittarius_a")
    return images.fitted(sagittarius_a_settings(), images.engine(), 1)


def test_residuals_of_the_cluster_are_noise(cluster):
    problem, result = cluster
    table = json.loads(result.attrs["minisanity"])
    assert abs(table["counts"]["reduced_chi2"] - 1) < 0.06
    found = residuals(problem, result)
    assert found.size > 300
    assert abs(found.mean()) < 0.2
    assert 0.75 < found.var() < 1.25
    # In single pixels, too: their variance is that of Poisson noise about the mean expected.
    expected = result["posterior"]["expected"].mean(("chain", "draw")).values
    seen = problem.covariates["exposure"] > 0
    counts = problem.observed["counts"][seen]
    # A Poisson count of mean m has (n - m)²/m of variance 2 + 1/m.
    chi2 = (counts - expected[seen]) ** 2 / expected[seen]
    error = np.sqrt(np.sum(2 + 1 / expected[seen])) / chi2.size
    assert abs(chi2.mean() - 1) < 6 * error


def test_the_cluster_is_diffuse_and_listed_sources_are_points(cluster):
    """Sources of the observation's list with more than 20 counts over their surroundings, in `M2ptsrc.txt`."""
    problem, result = cluster
    exposure = problem.covariates["exposure"][0, 0]
    points, diffuse = (result["posterior"][f"sky_{name}"].values[0, :, 0] * exposure for name in ("points", "diffuse"))
    row, column = 348 - 220 + 15, 328 - 200 + 15
    core = aperture(exposure.shape, row, column, 15)
    share = points[:, core].sum(1) / (points[:, core].sum(1) + diffuse[:, core].sum(1))
    assert share.mean() < 0.01
    for x, y, least, most in ((232, 399, 500, 750), (362, 474, 25, 70), (336, 417, 10, 45), (391, 418, 8, 40)):
        around = aperture(exposure.shape, y - 1 - 220 + 15, x - 1 - 200 + 15, 2.5)
        flux = points[:, around].sum(1)
        assert least < flux.mean() < most
        assert flux.mean() > 2 * flux.std()
        assert flux.mean() > 3 * diffuse[:, around].sum(1).mean()


def test_replicated_images_look_like_the_one_observed(cluster):
    problem, result = cluster
    drawn = ba.predict(problem, result, num=40, seed=1)["posterior_predictive"]["counts"].values[0]
    seen = problem.covariates["exposure"] > 0
    counts, drawn = problem.observed["counts"][seen], drawn[:, seen]
    for statistic in (lambda x: x.sum(-1), lambda x: (x == 0).sum(-1), lambda x: (x == 1).sum(-1), lambda x: x.max(-1)):
        predicted = statistic(drawn)
        assert abs(statistic(counts) - predicted.mean()) < 4 * predicted.std() + 1


def test_residuals_of_the_galactic_centre_are_noise_in_both_observations(centre):
    problem, result = centre
    table = json.loads(result.attrs["minisanity"])
    assert abs(table["counts"]["reduced_chi2"] - 1) < 0.04
    found = residuals(problem, result)
    assert found.size > 1000
    assert abs(found.mean()) < 0.1
    assert 0.75 < found.var() < 1.25


def test_sources_of_the_galactic_centre_are_points_in_common(centre):
    """The brightest isolated source has in either observation the counts over its surroundings that its point has."""
    problem, result = centre
    exposure, counts = problem.covariates["exposure"][:, 0], problem.observed["counts"][:, 0]
    shape = exposure.shape[1:]
    for row, column, least in ((185, 77, 150), (152, 233, 25), (44, 220, 20), (89, 31, 25)):
        near, ring = (aperture(shape, row + 16, column + 16, radius) for radius in (5, 10))
        ring = ring & ~near
        points = result["posterior"]["sky_points"].values[0, :, 0][:, aperture(shape, row + 16, column + 16, 2)].sum(1)
        assert points.mean() * exposure.max() > least / 2
        total = counts[:, near].sum() - counts[:, ring].sum() * near.sum() / ring.sum()
        expected = points.mean() * exposure.max() * 2
        assert 0.4 * total < expected < 1.2 * total
