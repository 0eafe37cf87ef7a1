"""Every program of the catalogue has an example that the engines named for it take."""

import jax
import numpy as np
import pytest

from bayesastro.datasets.registry import registry
from bayesastro.models.catalogue import CATALOGUE
from bayesastro.models.cosmology.examples import SURVEY_SIZE

ENTRIES = {entry.name: entry for entry in CATALOGUE}

LONG = (
    "cosmology.supernova_survey",
    "fields.initial_conditions",
    "fields.xray_image",
    "lensing.euclid",
    "lensing.parametric",
    "lightcurves.transit_rv",
    "spectra.deblending_sed",
)
"""Half a minute each, most of it compiling."""


@pytest.fixture
def problem_of(published_data):
    """The example of an entry, of which the data must be there."""

    def build(name):
        for data in ENTRIES[name].datasets:
            published_data(data)
        return ENTRIES[name].problem()

    return build


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in ENTRIES])
def test_engines_take_the_example(name, problem_of):
    table = problem_of(name).check()
    engines = list(ENTRIES[name].engines)
    assert table.loc[engines, "ok"].all(), table.loc[engines, "reason"].to_dict()


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_density_of_the_example_is_finite(name, problem_of):
    problem = problem_of(name)
    theta = {site: values[0] for site, values in problem.simulate(1, key=jax.random.key(0)).parameters.items()}
    if "density" in problem.lacks:
        assert name == "cosmology.supernova_summaries"  # which is what this program is for
        return
    prior, likelihood = problem.log_prior(theta), problem.log_likelihood(theta)
    assert prior.keys() >= theta.keys()
    assert likelihood.keys() == problem.observed.keys()
    assert all(np.isfinite(part).all() for part in (*prior.values(), *likelihood.values())), (prior, likelihood)


def test_examples_name_data_sets_that_there_are():
    for entry in CATALOGUE:
        assert set(entry.datasets) <= set(registry())
        assert entry.example or entry.datasets, entry.name
        assert ("simulated by the program itself" in entry.told()) == (not entry.datasets)


def test_a_simulated_survey_is_worth_a_fit(problem_of):
    """The same at each call, and the survey found many of the explosions."""
    first, second = problem_of("cosmology.supernova_survey"), problem_of("cosmology.supernova_survey")
    np.testing.assert_array_equal(first.observed["fit"], second.observed["fit"])
    assert SURVEY_SIZE / 5 < first.observed["found"].sum() < SURVEY_SIZE
    counts = np.expm1(problem_of("cosmology.supernova_summaries").observed["summary"][:, 0])
    assert counts.sum() > 1000
