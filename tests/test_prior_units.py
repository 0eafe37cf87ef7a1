"""Quantities in priors: every family in its own unit, angles, and priors made before the package is used."""

import subprocess
import sys

import astropy.units as u
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from astropy.utils.masked import Masked

import bayesastro as ba
from bayesastro.calibration.local import doubled
from bayesastro.prior_units import POWERS, unit_of

FAMILIES = {
    dist.Cauchy: (3 * u.km, 200 * u.m),
    dist.Delta: (3 * u.km,),
    dist.DoublyTruncatedPowerLaw: (-2.0, 1 * u.km, 2000 * u.m),
    dist.Exponential: (2 / u.km,),
    dist.FoldedDistribution: (dist.Normal(3 * u.km, 200 * u.m),),
    dist.Gamma: (2.5, 2 / u.km),
    dist.Gumbel: (3 * u.km, 200 * u.m),
    dist.HalfCauchy: (3 * u.km,),
    dist.HalfNormal: (3 * u.km,),
    dist.IntervalCensoredDistribution: (dist.Normal(3 * u.km, 200 * u.m), False, False),
    dist.InverseGamma: (2.5, 2 * u.km),
    dist.Laplace: (3 * u.km, 200 * u.m),
    dist.LeftCensoredDistribution: (dist.Normal(3 * u.km, 200 * u.m), False),
    dist.LeftTruncatedDistribution: (dist.Normal(3 * u.km, 200 * u.m), 2500 * u.m),
    dist.Logistic: (3 * u.km, 200 * u.m),
    dist.LogUniform: (1 * u.km, 2000 * u.m),
    dist.LowerTruncatedPowerLaw: (-2.0, 1 * u.km),
    dist.MixtureGeneral: (
        dist.Categorical(np.array([0.3, 0.7])),
        [dist.Normal(1 * u.km, 200 * u.m), dist.Cauchy(2 * u.km, 300 * u.m)],
    ),
    dist.MixtureSameFamily: (dist.Categorical(np.array([0.3, 0.7])), dist.Normal([1, 2] * u.km, [100, 200] * u.m)),
    dist.MultivariateNormal: ([3, 2] * u.km, np.diag([4e4, 9e4]) * u.m**2),
    dist.Normal: (3 * u.km, 200 * u.m),
    dist.Pareto: (1 * u.km, 3.0),
    dist.RightCensoredDistribution: (dist.Normal(3 * u.km, 200 * u.m), False),
    dist.RightTruncatedDistribution: (dist.Cauchy(3 * u.km, 200 * u.m), 3500 * u.m),
    dist.StudentT: (4.0, 3 * u.km, 200 * u.m),
    dist.TwoSidedTruncatedDistribution: (dist.Normal(3 * u.km, 200 * u.m), 2500 * u.m, 3500 * u.m),
    dist.Uniform: (1 * u.km, 2000 * u.m),
    dist.Weibull: (1 * u.km, 3.0),
}


PLACES = {
    dist.Delta: np.array([3.0]),
    dist.LeftTruncatedDistribution: np.array([2.9, 3.3]),
    dist.MultivariateNormal: np.array([3.0, 2.1]),
    dist.RightTruncatedDistribution: np.array([2.9, 3.3]),
    dist.TwoSidedTruncatedDistribution: np.array([2.9, 3.3]),
}
"""Where densities are compared [km], if not at 1.2 and 1.9."""


def test_every_family_that_takes_quantities_is_tested():
    assert set(FAMILIES) == set(POWERS)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_families_agree_with_themselves_in_another_unit(family):
    """Made of quantities in metres, a distribution of kilometres is the same one."""
    kilometres = family(*FAMILIES[family])
    to = {"km": u.m, "1 / km": 1 / u.m, "m": u.m, "m2": u.m**2}

    def shifted(value):
        if isinstance(value, list):
            return list(map(shifted, value))
        if isinstance(value, dist.Normal | dist.Cauchy):
            return type(value)(value.loc * 1000 * u.m, value.scale * 1000 * u.m)
        return value.to(to[str(value.unit)]) if hasattr(value, "unit") else value

    metres = family(*map(shifted, FAMILIES[family]))
    assert (unit_of(kilometres), unit_of(metres)) == ("km", "m")
    x = PLACES.get(family, np.array([1.2, 1.9]))
    found, expected = kilometres.log_prob(x), metres.log_prob(1000 * x)
    is_probability = family in (dist.Delta, dist.IntervalCensoredDistribution)
    volume = 0.0 if is_probability else max(1, *kilometres.event_shape, 0) * np.log(1000)
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, expected + volume, rtol=1e-5)


@pytest.mark.parametrize("wrap", [lambda d: d.expand([3]), lambda d: d.expand([3]).to_event(1), lambda d: d.mask(True)])
def test_plates_events_and_masks_keep_the_unit(wrap):
    assert unit_of(wrap(dist.Normal(3 * u.km, 200 * u.m))) == "km"


PRIOR_FAULTS = {
    "two kinds": (lambda: dist.Normal(3 * u.s, 2 * u.km), ValueError, "`Normal.scale` must be in s .* but is in km"),
    "a plain number": (
        lambda: dist.Normal(3.0, 2 * u.km),
        ValueError,
        "`Normal.loc` is a plain number beside .* in km",
    ),
    "a plain bound": (
        lambda: dist.TruncatedNormal(3 * u.km, 2 * u.km, low=1.0),
        ValueError,
        "LeftTruncatedDistribution.low` is a plain number",
    ),
    "without a unit": (
        lambda: dist.StudentT(3 * u.s, 0.0, 2 * u.km),
        ValueError,
        "`StudentT.df` must be without a unit",
    ),
    "logarithms": (
        lambda: dist.LogNormal(3 * u.km, 0.1),
        TypeError,
        "`LogNormal` take no quantities. Give plain numbers",
    ),
    "a mixture of units": (
        lambda: dist.MixtureGeneral(
            dist.Categorical(np.array([0.3, 0.7])), [dist.Normal(1 * u.km, 2 * u.km), dist.Normal(500 * u.m, 1 * u.m)]
        ),
        ValueError,
        "components of a mixture must be in one unit, but are in km, m",
    ),
    "masked": (
        lambda: dist.Normal(Masked([1, 2] * u.km, mask=[0, 1]), 1 * u.km),
        TypeError,
        "`Normal.loc` is a masked",
    ),
    "fractions": (lambda: dist.Beta(3 * u.km, 1.0), TypeError, "`Beta` take no quantities"),
}


@pytest.mark.parametrize("fault", PRIOR_FAULTS)
def test_priors_whose_units_make_no_sense_are_refused(fault):
    make, kind, message = PRIOR_FAULTS[fault]
    with pytest.raises(kind, match=message):
        make()


TURN = {
    "degrees": ((-180 * u.deg, 180 * u.deg), 180.0),
    "degrees and radians": ((-180 * u.deg, np.pi * u.rad), 180.0),
    "radians and degrees": ((-np.pi * u.rad, 180 * u.deg), np.pi),
    "radians": (([-180, 180] * u.deg).to(u.rad), np.pi),
}


@pytest.mark.parametrize("turn", TURN)
def test_angles_enter_in_the_unit_of_the_first_and_degrees_are_declared(turn):
    """A program that takes the cosine of degrees would do so in silence."""
    ends, half = TURN[turn]

    def turned():
        phi = numpyro.sample("phi", dist.Uniform(*ends))
        numpyro.sample("x", dist.Normal(jnp.cos(phi), 0.1))

    declared = None
    if half == 180.0:
        with pytest.raises(ValueError, match=r"`phi` would enter .* in deg, .*\.to\(u.rad\).*units={\"phi\": \"deg\"}"):
            ba.Problem(turned, observed={"x": 0.5})
        with pytest.raises(ValueError, match=r"`phi` are in deg, but `units` says rad.*`\.to\(\"rad\"\)`"):
            ba.Problem(turned, observed={"x": 0.5}, units={"phi": "rad"})
        declared = {"phi": "deg"}
    problem = ba.Problem(turned, observed={"x": 0.5}, units=declared)
    np.testing.assert_allclose(problem.bounds["phi"], (-half, half), rtol=1e-6)
    np.testing.assert_allclose(
        problem.log_likelihood({"phi": 60 * u.deg})["x"],
        -0.5 * ((0.5 - np.cos(half / 3)) / 0.1) ** 2 + np.log(10 / np.sqrt(2 * np.pi)),
    )
    assert problem.replace(observed={"x": 0.2}).units == problem.units
    assert doubled(problem).units == problem.units


def test_rates_of_degrees_are_declared_and_areas_are_not():
    with pytest.raises(ValueError, match="`a` would enter the program in deg / d"):
        ba.Problem(lambda: numpyro.sample("a", dist.HalfNormal(3 * u.deg / u.day)))
    assert ba.Problem(lambda: numpyro.sample("a", dist.HalfNormal(3 / u.deg**2))).units == {"a": "1 / deg2"}


IMPORTS = {
    "package first": "import bayesastro, numpyro.distributions as dist",
    "NumPyro first": "import numpyro.distributions as dist, bayesastro",
    "a module that imports NumPyro": "import bayesastro.families, numpyro.distributions as dist",
}


@pytest.mark.parametrize("order", IMPORTS)
def test_priors_made_before_the_first_use_of_the_package_keep_their_units(order):
    code = f"""{IMPORTS[order]}
import sys, astropy.units as u
prior = dist.Normal(5 * u.km / u.s, 1000 * u.m / u.s)
assert "bayesastro.problem" not in sys.modules
assert (prior._value_unit, float(prior.scale)) == ("km / s", 1.0)"""
    subprocess.run([sys.executable, "-c", code], check=True)


TRUNCATED = dist.LeftTruncatedDistribution
EARLY = [dist.Normal, dist.Uniform, dist.HalfNormal, dist.LogUniform, dist.MultivariateNormal, TRUNCATED]


@pytest.mark.parametrize("family", EARLY, ids=lambda family: family.__name__)
def test_priors_made_before_the_package_was_imported_are_refused(family, monkeypatch):
    monkeypatch.setattr("numpyro.distributions.distribution.COERCIONS", [])
    fn = dist.TruncatedNormal(3 * u.km, 1 * u.km, low=1.0) if family is TRUNCATED else family(*FAMILIES[family])
    monkeypatch.undo()
    made = dist.Normal if family is TRUNCATED else family  # what holds the quantities
    message = f"`{made.__name__}` of site `a` was made of quantities .* before `bayesastro` was imported"
    with pytest.raises(TypeError, match=message):
        ba.Problem(lambda: numpyro.sample("a", fn.expand([2]) if not fn.event_shape else fn))


def test_distributions_of_plain_numbers_are_numpyros_own():
    assert unit_of(dist.Normal(3.0, 1.0)) == ""
    share = dist.Beta(200 * u.percent, 1.0)
    assert (unit_of(share), float(share.concentration1)) == ("", 2.0)


def test_censored_and_folded_sites_carry_the_unit_of_what_they_are_made_of():
    def program():
        flux = numpyro.sample("flux", dist.FoldedDistribution(dist.Normal(3 * u.Jy, 200 * u.mJy)))
        numpyro.sample("seen", dist.LeftCensoredDistribution(dist.Normal(flux, 1 * u.Jy), np.array([1, 0])))

    assert ba.Problem(program, observed={"seen": [0.5, 4.0]}).units == {"flux": "Jy", "seen": "Jy"}


@pytest.mark.parametrize(
    "made", [lambda: dist.Normal(20 * u.ABmag, 1 * u.mag), lambda: dist.HalfNormal(u.Dex(2.0, u.dex(u.Jy)))]
)
def test_priors_take_no_logarithmic_units(made):
    with pytest.raises(
        TypeError, match=r"take no logarithmic units, but .* was given (mag\(AB\)|dex\(Jy\))\. Give plain numbers"
    ):
        made()
