"""Problems of this package's programs with published data, or with simulated ones, for a first fit."""

import jax
import numpy as np

from bayesastro.datasets import load
from bayesastro.models.cosmology import hubble_diagram, supernova_summaries, supernova_survey, tripp
from bayesastro.problem import Problem

__all__ = ["jla", "pantheon", "simulated_summaries", "simulated_survey"]

SEED = 4
"""Of the simulations: a universe not far from ours, Ω_m = 0.20 and w₀ = -0.86."""

SURVEY_SIZE, SUMMARIES_SIZE = 512, 10_000
"""Explosions, found or not."""


def pantheon() -> Problem:
    """Hubble diagram of Pantheon in 40 bins, in a flat universe with a cosmological constant."""
    return hubble_diagram.build(load("pantheon_binned"))


def jla(latents: tripp.Latents = "marginalised") -> Problem:
    """The 740 supernovae of JLA."""
    return tripp.build(load("jla"), latents=latents)


def simulated_survey() -> Problem:
    """A survey of 512 explosions, which the program makes of parameters drawn from its prior."""
    size, survey = SURVEY_SIZE, supernova_survey.Survey()
    empty = {"found": np.zeros(size, int), "redshift": np.zeros(size), "fit": np.zeros((size, 3))}
    return _simulated(supernova_survey.build(empty, survey))


def simulated_summaries() -> Problem:
    """Moments, in 40 bins, of a survey of 10,000 explosions, which the program makes of parameters from its prior."""
    empty = np.zeros((40, 10))
    return _simulated(supernova_summaries.build(empty, SUMMARIES_SIZE, supernova_survey.Survey()))


def _simulated(problem: Problem) -> Problem:
    made = problem.simulate(1, key=jax.random.key(SEED))
    return problem.replace(observed={name: values[0] for name, values in made.observables.items()})
