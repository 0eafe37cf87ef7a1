"""Quantities at the door: converted once on their way in, named again on the way out, and never dropped."""

import pickle

import astropy.units as u
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro.prior_units import POWERS, unit_of

SPEED = u.km / u.s
TIME = np.linspace(0.0, 3.0, 8)
VELOCITY = 5.0 + 2.0 * TIME + np.array([0.3, -0.2, 0.1, 0.4, -0.5, 0.0, 0.2, -0.3])
DECLARED = {"time": "h", "sigma": SPEED, "v": "km/s"}
NUTS = ba.NUTS(num_chains=2, num_warmup=100, num_draws=100)


def program(time, sigma):
    v0 = numpyro.sample("v0", dist.Normal(0.0, 20_000 * u.m / u.s))
    rate = numpyro.sample("rate", dist.Uniform(-10 * SPEED / u.h, 10_000 * u.m / u.s / u.h))
    numpyro.deterministic("distance", v0 * 3600)
    numpyro.sample("v", dist.Normal(v0 / 1000 + rate * time, sigma))


def plain_program(time, sigma):
    v0 = numpyro.sample("v0", dist.Normal(0.0, 20_000.0))
    rate = numpyro.sample("rate", dist.Uniform(-10.0, 10.0))
    numpyro.deterministic("distance", v0 * 3600)
    numpyro.sample("v", dist.Normal(v0 / 1000 + rate * time, sigma))


def with_units(units=DECLARED, time=TIME * 60 * u.min, sigma=300 * u.m / u.s, v=VELOCITY * 1e5 * u.cm / u.s):
    return ba.Problem(program, time, sigma, observed={"v": v}, units=units)


def without():
    return ba.Problem(plain_program, TIME, np.asarray(0.3), observed={"v": VELOCITY})


THETA = {"v0": 4900.0, "rate": 2.1}


def test_quantities_give_the_density_of_plain_numbers():
    ours, plain = with_units(), without()
    np.testing.assert_allclose(ours.observed["v"], VELOCITY)
    for part in ("log_prior", "log_likelihood"):
        found, expected = getattr(ours, part)(THETA), getattr(plain, part)(THETA)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12)
    assert ours.bounds == plain.bounds


def test_parameter_values_may_be_quantities():
    found = with_units().log_likelihood({"v0": 4.9 * SPEED, "rate": 2.1 * SPEED / u.h})
    np.testing.assert_allclose(found["v"], without().log_likelihood(THETA)["v"])
    with pytest.raises(ValueError, match=r"`v0` must be in m / s .* but is in s"):
        with_units().log_likelihood({"v0": 4.9 * u.s, "rate": 2.1})


def test_plain_numbers_are_taken_to_be_in_the_declared_unit():
    found = with_units(time=TIME, sigma=np.asarray(0.3), v=VELOCITY)
    np.testing.assert_allclose(found.log_likelihood(THETA)["v"], with_units().log_likelihood(THETA)["v"])


def test_units_come_back_with_results_and_predictions(tmp_path):
    problem = with_units({**DECLARED, "distance": "m"})
    result = ba.fit(problem, NUTS, seed=1, progress=False)
    found = {name: result["posterior"][name].attrs["units"] for name in ("v0", "rate", "distance")}
    assert {name: u.Unit(unit) for name, unit in found.items()} == {
        "v0": u.m / u.s,
        "rate": SPEED / u.h,
        "distance": u.m,
    }
    assert result["observed_data"]["v"].attrs["units"] == "km / s"
    assert result["constant_data"]["time"].attrs["units"] == "h"
    table = ba.summary(result)
    assert list(table["units"]) == [found[name] for name in table.index]
    predicted = ba.predict(problem, result, num=5, seed=2)
    assert predicted["posterior_predictive"]["v"].attrs["units"] == "km / s"
    ba.save(result, tmp_path / "r.nc")
    assert ba.load(tmp_path / "r.nc")["posterior"]["v0"].attrs["units"] == "m / s"
    assert "units" not in ba.summary(ba.fit(without(), NUTS, seed=1, progress=False))


def test_other_data_of_the_same_program_are_converted_too():
    problem = with_units()
    replaced = problem.replace(observed={"v": VELOCITY * 2 * SPEED})
    np.testing.assert_allclose(replaced.observed["v"], 2 * VELOCITY)
    assert replaced.units == problem.units == pickle.loads(pickle.dumps(problem)).units
    batch = problem.batch(observed={"v": [VELOCITY * SPEED, VELOCITY * 1000 * u.m / u.s]}, sigma=[300, 400] * u.m / u.s)
    np.testing.assert_allclose(batch.data.observed["v"], [VELOCITY, VELOCITY])
    np.testing.assert_allclose(batch.data.arrays[1], [0.3, 0.4])
    fits = ba.fit_many(problem, batch, NUTS, seed=1, progress=False)
    assert fits["posterior"]["v0"].attrs["units"] == "m / s"
    with pytest.raises(ValueError, match="`v` must be in km / s"):
        problem.batch(observed={"v": [VELOCITY * SPEED, VELOCITY * u.K]})


def test_an_informed_problem_keeps_its_units():
    result = ba.fit(with_units(), ba.NUTS(num_chains=2, num_warmup=200, num_draws=200), seed=1, progress=False)
    informed = ba.informed(with_units(v=VELOCITY * 1.01 * SPEED), result)
    assert informed.units == {name: unit for name, unit in with_units().units.items() if name in ("v0", "rate", "v")}
    other = ba.Problem(plain_program, TIME, np.asarray(0.3), observed={"v": VELOCITY}, units={"v0": SPEED})
    with pytest.raises(ValueError, match="`v0` is in m / s in the result, but in km / s in the problem"):
        ba.informed(other, result, again=True)
    with pytest.raises(ValueError, match="`v0` is in m / s in `start`, but in km / s"):
        ba.fit(other, NUTS, start=result, seed=1, progress=False)


FAULTS = {
    "of another kind": ({"v": VELOCITY * u.K}, "`v` must be in km / s or a unit of its kind, but is in K"),
    "not declared": ({"units": {"sigma": SPEED, "v": SPEED}}, '`time` came in min, .*units={"time": "min"}'),
    "unit of nothing": ({"units": {**DECLARED, "rat": SPEED}}, "`units` names `rat`.*Did you mean `rate`"),
    "no unit": ({"units": {**DECLARED, "v": "kmps"}}, "unit of `v` must be one that astropy knows, but 'kmps' came"),
    "unlike the prior": (
        {"units": {**DECLARED, "v0": SPEED}},
        "quantities of the site `v0` are in m / s, but .* km / s",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused(fault):
    changed, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message):
        with_units(**changed)


def test_units_must_be_a_mapping():
    with pytest.raises(TypeError, match="`units` must map names of arguments and sites to units"):
        with_units(units="km/s")


FAMILIES = {
    dist.Cauchy: (3 * u.km, 200 * u.m),
    dist.Delta: (3 * u.km,),
    dist.DoublyTruncatedPowerLaw: (-2.0, 1 * u.km, 2000 * u.m),
    dist.Exponential: (2 / u.km,),
    dist.Gamma: (2.5, 2 / u.km),
    dist.Gumbel: (3 * u.km, 200 * u.m),
    dist.HalfCauchy: (3 * u.km,),
    dist.HalfNormal: (3 * u.km,),
    dist.InverseGamma: (2.5, 2 * u.km),
    dist.Laplace: (3 * u.km, 200 * u.m),
    dist.LeftTruncatedDistribution: (dist.Normal(3 * u.km, 200 * u.m), 2500 * u.m),
    dist.Logistic: (3 * u.km, 200 * u.m),
    dist.LogUniform: (1 * u.km, 2000 * u.m),
    dist.LowerTruncatedPowerLaw: (-2.0, 1 * u.km),
    dist.MixtureSameFamily: (dist.Categorical(np.array([0.3, 0.7])), dist.Normal([1, 2] * u.km, [100, 200] * u.m)),
    dist.MultivariateNormal: ([3, 2] * u.km, np.diag([4e4, 9e4]) * u.m**2),
    dist.Normal: (3 * u.km, 200 * u.m),
    dist.Pareto: (1 * u.km, 3.0),
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
        if isinstance(value, dist.Normal | dist.Cauchy):
            return type(value)(value.loc * 1000 * u.m, value.scale * 1000 * u.m)
        return value.to(to[str(value.unit)]) if hasattr(value, "unit") else value

    metres = family(*map(shifted, FAMILIES[family]))
    assert (unit_of(kilometres), unit_of(metres)) == ("km", "m")
    x = PLACES.get(family, np.array([1.2, 1.9]))
    found, expected = kilometres.log_prob(x), metres.log_prob(1000 * x)
    volume = 0.0 if family is dist.Delta else max(1, *kilometres.event_shape, 0) * np.log(1000)
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
    "fractions": (lambda: dist.Beta(3 * u.km, 1.0), TypeError, "`Beta` take no quantities"),
}


@pytest.mark.parametrize("fault", PRIOR_FAULTS)
def test_priors_whose_units_make_no_sense_are_refused(fault):
    make, kind, message = PRIOR_FAULTS[fault]
    with pytest.raises(kind, match=message):
        make()


def test_distributions_of_plain_numbers_are_numpyros_own():
    assert unit_of(dist.Normal(3.0, 1.0)) == ""
    share = dist.Beta(200 * u.percent, 1.0)
    assert (unit_of(share), float(share.concentration1)) == ("", 2.0)
