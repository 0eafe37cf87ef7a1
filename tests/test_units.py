"""Quantities at the door: converted once on their way in, named again on the way out, and never dropped."""

import pickle
import re

import astropy.units as u
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.masked import Masked

import bayesastro as ba
from bayesastro.prior_units import unit_of
from bayesastro.units import in_unit

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
    "column of another kind": ({"v": Column(VELOCITY, unit="K")}, "`v` must be in km / s .*, but is in K"),
    "column not declared": (
        {"units": {"sigma": SPEED, "v": SPEED}, "time": Column(TIME, unit="min")},
        '`time` came in min, .*units={"time": "min"}',
    ),
    "misspelt argument": (
        {"units": {"tme": "h", "sigma": SPEED, "v": SPEED}},
        "`units` names `tme`.*Did you mean `time`",
    ),
    "misspelt site": ({"units": {"time": "h", "sigma": SPEED, "V": SPEED}}, "`units` names `V`.*Did you mean `v`"),
}


def test_a_misspelt_name_is_told_with_arguments_apart_from_sites():
    told = (
        "`units` names `siggma`, but the program has no argument or site of that name. Its arguments are `time`, `sigma`; its "
        "sites `v0`, `rate`, `distance`, `v`. Did you mean `sigma`?"
    )
    for sigma in (300 * u.m / u.s, 0.3):  # of which the unit is then not known, or which has none
        with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
            with_units({"time": "h", "siggma": SPEED, "v": "km/s"}, sigma=sigma)


UNKNOWN = {
    "kparsec": " Did you mean `kpc`?",
    "Kms": " Did you mean `km/s`?",
    "kmps": " Did you mean `km/s`?",
    "Km/s": " Did you mean `km/s`?",
    "km/(sec Mpc)": " Did you mean `km/(s Mpc)`?",
    "degrees": " Did you mean `degree`?",
    "mag(AABB)": "",
    "arcsecs": " Did you mean `arcsec`?",
    "Msol": " Did you mean `Msun`?",
    "barns": " Did you mean `barn`?",
    "qqqq": "",
    "km/": "",
    None: "",
}


@pytest.mark.parametrize("unit", UNKNOWN)
def test_unknown_units_are_told_with_the_one_that_was_meant(unit):
    told = f"The unit of `v` must be one that astropy knows, but {unit!r} came.{UNKNOWN[unit]}"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        with_units({**DECLARED, "v": unit})


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused(fault):
    changed, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message):
        with_units(**changed)


def test_a_misspelt_site_is_told_before_its_unit():
    for build in (lambda **data: ba.Problem(program, TIME, 0.3, **data), without().replace, without().batch):
        with pytest.raises(ValueError, match=r"`observed` names `vv`, .*Did you mean `v`"):
            build(observed={"vv": [VELOCITY] * SPEED})
    with pytest.raises(ValueError, match="value is needed for the latent site `v0`; values came for `v`"):
        without().log_prior({"v": 3 * SPEED})


def test_a_program_that_fails_in_other_units_hides_no_undeclared_one():
    def picky(num):
        assert num.shape == (3,)

    with pytest.raises(ValueError, match="`num` came in h"):
        ba.Problem(picky, TIME * u.h)


TABLE = Table(
    {
        "time": Column(TIME * 60, unit="min"),
        "v": MaskedColumn(VELOCITY * 1000, unit="m/s"),
        "plain": MaskedColumn(VELOCITY),
    }
)


def test_columns_of_tables_are_quantities():
    found = with_units(time=TABLE["time"], v=TABLE["v"])
    np.testing.assert_allclose(found.log_likelihood(THETA)["v"], without().log_likelihood(THETA)["v"])
    np.testing.assert_allclose(with_units(v=TABLE["plain"]).observed["v"], VELOCITY)
    np.testing.assert_allclose(with_units().batch(observed={"v": [TABLE["v"]] * 2}).data.observed["v"][1], VELOCITY)
    prior = dist.Normal(Column([1.0, 2.0], unit="km"), 500 * u.m)
    assert (unit_of(prior), prior.scale.tolist()) == ("km", [0.5])


BAD = TIME > 2.0
MASKED = {
    "numpy": lambda a: np.ma.array(a, mask=BAD),
    "astropy": lambda a: Masked(a, mask=BAD),
    "quantity": lambda a: Masked(a * SPEED, mask=BAD),
    "column": lambda a: MaskedColumn(a, mask=BAD),
    "column with a unit": lambda a: MaskedColumn(a, mask=BAD, unit="km/s"),
}


@pytest.mark.parametrize("kind", MASKED)
def test_masked_values_are_refused(kind):
    masked = MASKED[kind](VELOCITY)
    message = "`v` is a masked array. Fill it .*True where a value counts.*`numpyro.handlers.mask`"
    builds = {
        "problem": lambda: with_units(v=masked),
        "replaced": lambda: with_units().replace(observed={"v": masked}),
        "batch": lambda: with_units().batch(observed={"v": [VELOCITY, masked]}),
        "stack": lambda: with_units().batch(observed={"v": masked[None]}),
    }
    for build in builds.values():
        with pytest.raises(TypeError, match=message):
            build()
    with pytest.raises(TypeError, match="`sigma` is a masked array"):
        with_units(sigma=MASKED[kind](np.full(8, 0.3)))
    with pytest.raises(TypeError, match="`flux` is a masked array"):
        in_unit(masked, "km/s", "flux")
    with pytest.raises(TypeError, match="site `v0` is a masked array"):
        with_units().log_prior({**THETA, "v0": masked[-1:]}, batch_ndims=1)


@pytest.mark.parametrize("kind", MASKED)
def test_where_nothing_is_masked_values_count(kind, monkeypatch):
    monkeypatch.setattr(f"{__name__}.BAD", False)
    np.testing.assert_allclose(with_units(v=MASKED[kind](VELOCITY)).observed["v"], VELOCITY)


def test_lists_of_quantities_are_no_arguments():
    with pytest.raises(
        TypeError, match=r"`sigma\[0\]` is part of a list.*as one quantity, with `astropy.units.Quantity`"
    ):
        with_units(sigma=[300 * u.m / u.s] * 8)


WITHIN = {
    "quantity": (lambda: VELOCITY * SPEED, "`obs=` of site `v` is in km / s within the program.*`observed=`"),
    "column": (lambda: TABLE["v"], "`obs=` of site `v` is in m / s within"),
    "masked": (lambda: Masked(VELOCITY, mask=BAD), "`obs=` gives to site `v` is a masked array"),
}


@pytest.mark.parametrize("kind", WITHIN)
def test_quantities_observed_within_the_program_are_refused(kind):
    make, message = WITHIN[kind]
    with pytest.raises(TypeError, match=message):
        ba.Problem(
            lambda: numpyro.sample("v", dist.Normal(numpyro.sample("v0", dist.Normal(0.0, 9.0)), 1.0), obs=make())
        )


def test_units_must_be_a_mapping():
    with pytest.raises(TypeError, match="`units` must map names of arguments and sites to units"):
        with_units(units="km/s")


def magnitudes(sigma):
    numpyro.sample("m", dist.Normal(numpyro.sample("mean", dist.Normal(20.0, 5.0)), sigma).expand([2]))


MAGNITUDES = np.array([20.0, 21.0])


@pytest.mark.parametrize(
    ("given", "unit", "expected"),
    [
        (MAGNITUDES * u.ABmag, u.ABmag, MAGNITUDES),
        (MAGNITUDES * u.STmag, "mag(ST)", MAGNITUDES),
        (Table({"m": MAGNITUDES * u.ABmag})["m"], "mag(AB)", MAGNITUDES),
        (3631e-8 * np.array([1.0, 0.01]) * u.Jy, "mag(AB)", [20.0, 25.0]),
        (MAGNITUDES * u.ABmag, "Jy", 3630.78 * 10 ** (-0.4 * MAGNITUDES)),
        (u.Magnitude(MAGNITUDES), "mag", MAGNITUDES),
        (MAGNITUDES * u.mag, "mag", MAGNITUDES),
        (u.Dex(MAGNITUDES, u.dex(u.cm / u.s**2)), "dex(m/s2)", MAGNITUDES - 2),
        (u.Decibel(MAGNITUDES, u.dB(u.mW)), "dB(W)", MAGNITUDES - 30),
    ],
    ids=str,
)
def test_magnitudes_with_a_zero_point_are_quantities_too(given, unit, expected):
    problem = ba.Problem(magnitudes, 0.1 * u.mag, observed={"m": given}, units={"m": unit, "sigma": "mag"})
    np.testing.assert_allclose(problem.observed["m"], expected, rtol=1e-5)
    assert u.Unit(problem.units["m"]) == u.Unit(unit)


@pytest.mark.parametrize("given", [MAGNITUDES * u.ABmag, u.Magnitude(MAGNITUDES), u.Dex(MAGNITUDES)], ids=str)
def test_magnitudes_of_which_the_unit_was_not_declared_are_refused(given):
    """Those without a zero point are ratios to astropy, but a program that takes magnitudes does not want ratios."""
    with pytest.raises(ValueError, match=r"`m` came in .* not known. Say so, as in `Problem\(\.\.\., units="):
        ba.Problem(magnitudes, 0.1, observed={"m": given})


def test_magnitudes_of_another_zero_point_are_refused():
    with pytest.raises(
        ValueError, match=r"`m` must be in mag .* is in mag\(AB\)\. Declare .*`\.value`\) or fluxes \(`\.physical`"
    ):
        ba.Problem(magnitudes, 0.1, observed={"m": MAGNITUDES * u.ABmag}, units={"m": "mag"})
