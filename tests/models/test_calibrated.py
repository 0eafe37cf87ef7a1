"""Posteriors of small versions of programs, calibrated by simulation; others are beside the tests of their program."""

import pytest
import supernovae
import transient_curves
import transits

import bayesastro as ba
from bayesastro.models.cosmology import hubble_diagram
from bayesastro.models.lightcurves import transient_population

SMALL = {
    "hubble_diagram": lambda: hubble_diagram.build(supernovae.diagram(), "w"),
    "supernova_survey": lambda: supernovae.small_survey(40, num_redshifts=65),
    "transient_population": lambda: transient_population.build(transient_curves.sample()),
    "transit_rv": lambda: transits.joint(30),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_programs_are_calibrated(name):
    draws = 500 if name == "transient_population" else 300
    engine = ba.NUTS(num_chains=2, num_warmup=500, num_draws=draws, target_accept=0.9, max_tree_depth=8)
    report = ba.calibrate(SMALL[name](), engine, num_simulations=110, seed=4, chunk=1, progress=False)
    assert report.verdict == "pass", str(report)
