"""Posteriors of small versions of programs, calibrated by simulation; others are beside the tests of their program."""

from dataclasses import replace

import pytest
import supernovae
import transient_curves
import transits

import bayesastro as ba
from bayesastro.models.cosmology import hubble_diagram
from bayesastro.models.lightcurves import transient, transient_population


def population():
    """Three light curves of a class that is roughly known: some of the broadest prior are so bright that chains get stuck."""
    prior = replace(transient.BROAD, covariance=0.25 * transient.BROAD.covariance)
    return transient_population.build(transient_curves.sample(), prior)


SMALL = {
    "hubble_diagram": lambda: hubble_diagram.build(supernovae.diagram(), "w"),
    "radial_velocities": lambda: transits.velocities(30, period=(2.99, 3.01)),
    "supernova_survey": lambda: supernovae.small_survey(40, num_redshifts=65),
    "transient_population": population,
    "transit_rv": lambda: transits.joint(30),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_programs_are_calibrated(name):
    draws, accept = (500, 0.95) if name == "transient_population" else (300, 0.9)
    engine = ba.NUTS(num_chains=2, num_warmup=500, num_draws=draws, target_accept=accept, max_tree_depth=8)
    report = ba.calibrate(SMALL[name](), engine, num_simulations=110, seed=4, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)
