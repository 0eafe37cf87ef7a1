"""Angles in degrees that go into a sine as they are: told by name where the way is plain, and never where they are converted."""

import warnings
from types import SimpleNamespace

import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan

import bayesastro as ba
from bayesastro.cautions import warn_of_cautions

AZIMUTH = np.linspace(0.0, 350.0, 8)
VELOCITY = 200.0 * np.cos(np.deg2rad(AZIMUTH))
NUTS = ba.NUTS(num_chains=1, num_warmup=10, num_draws=4)


def disc(seen, unit="deg", azimuth=AZIMUTH):
    """The rotation of a disc, of which `seen` makes the projection from the azimuth and an offset."""

    def rotation(azimuth):
        speed = numpyro.sample("speed", dist.Normal(200.0, 20.0))
        offset = numpyro.sample("offset", dist.Normal(0.0, 0.1))
        numpyro.sample("velocity", dist.Normal(speed * seen(azimuth, offset), 10.0))

    return ba.Problem(rotation, azimuth, observed={"velocity": VELOCITY}, units={"azimuth": unit})


@jax.custom_jvp
def smooth(x):
    return jnp.cos(x)


smooth.defjvp(lambda primals, tangents: (smooth(*primals), -jnp.sin(primals[0]) * tangents[0]))


@jax.custom_vjp
def backwards(x):
    return jnp.cos(x)


backwards.defvjp(lambda x: (jnp.cos(x), x), lambda x, g: (-jnp.sin(x) * g,))


def stepped(x):
    return scan(lambda carry, one: (carry, jnp.cos(one)), 0.0, x)[1]


AS_RADIANS = {
    "cosine": lambda x, a: jnp.cos(x),
    "sine of a difference": lambda x, a: jnp.sin(x - a),
    "tangent of a sum": lambda x, a: jnp.tan(a + jnp.pi / 2 + x),
    "second harmonic": lambda x, a: jnp.cos(2 * (x - a)),
    "half-angle": lambda x, a: jnp.sin((x - a) / 2) ** 2,
    "rest of a turn": lambda x, a: jnp.cos((x + 180.0) % 360.0),
    "chosen": lambda x, a: jnp.cos(jnp.where(x > 180.0, x - 360.0, x)),
    "bounded": lambda x, a: jnp.cos(jnp.clip(-x, -90.0, 90.0)),
    "reshaped": lambda x, a: jnp.cos(x[None, ::-1] + jnp.zeros((3, 1)))[0],
    "entry": lambda x, a: jnp.cos(x[3]) + jnp.zeros(8),
    "entries": lambda x, a: jnp.cos(x[jnp.arange(8)]),
    "compiled": lambda x, a: jax.jit(lambda y: jnp.cos(y - a))(x),
    "handed on": lambda x, a: jnp.cos(jax.jit(lambda y: y - a)(x)),
    "mapped": lambda x, a: jax.vmap(lambda y: jnp.cos(y - a))(x),
    "with its own gradient": lambda x, a: smooth(x),
    "with its own gradient backwards": lambda x, a: backwards(x - a),
    "checkpointed": lambda x, a: jax.checkpoint(jnp.cos)(x),
    "branch": lambda x, a: jax.lax.cond(a > 0, jnp.cos, jnp.zeros_like, x),
    "loop": lambda x, a: stepped(x),
    "in radians, and as it is": lambda x, a: jnp.cos(jnp.deg2rad(x)) + jnp.cos(x),
}

CONVERTED = {
    "deg2rad": lambda x, a: jnp.cos(jnp.deg2rad(x) - a),
    "radians": lambda x, a: jnp.cos(jnp.radians(2 * x)),
    "by hand": lambda x, a: jnp.cos(x * np.pi / 180 - a),
    "turns": lambda x, a: jnp.cos(2 * np.pi * (x / 360)),
    "over a parameter": lambda x, a: jnp.sin(x / jnp.exp(a)),
    "compiled": lambda x, a: jnp.cos(jax.jit(jnp.deg2rad)(x)),
    "no angle": lambda x, a: x + jnp.cos(a),
    "index": lambda x, a: jnp.cos(jnp.linspace(0.0, a, 400)[x.astype(int)]),
    "condition": lambda x, a: jnp.cos(jnp.where(x > 180.0, a, -a)),
    "stacked with radians": lambda x, a: jnp.cos(jnp.stack([x, x * 0 + a])[1]),
    "loop": lambda x, a: stepped(jnp.deg2rad(x)),
}


@pytest.mark.parametrize("way", AS_RADIANS)
def test_degrees_of_which_the_program_takes_a_sine_are_told(way):
    (caution,) = disc(AS_RADIANS[way]).cautions()
    assert caution.name == "azimuth"
    assert str(caution) == (
        "`azimuth` is in deg, but the program takes its sine, cosine or tangent as if it were in radians. Declare "
        '`units={"azimuth": "rad"}`, which converts quantities, or convert it in the program, by `jnp.deg2rad(azimuth)`.'
    )


@pytest.mark.parametrize("way", CONVERTED)
def test_what_is_converted_or_is_no_angle_there_needs_no_caution(way):
    assert disc(CONVERTED[way]).cautions() == ()


@pytest.mark.parametrize("unit", ["arcmin", "hourangle", "arcsec", "mas", "cycle", "mrad"])
def test_every_unit_but_radians_is_told(unit):
    assert f"is in {unit}, but" in str(disc(AS_RADIANS["cosine"], unit).cautions()[0])


@pytest.mark.parametrize("unit", ["rad", "", "d", "km", "deg2"])
def test_radians_and_what_is_no_angle_are_not(unit):
    """Phases are plain numbers, and sines of lengths and times are none of angles in another unit."""
    assert disc(AS_RADIANS["cosine"], unit).cautions() == ()


@pytest.mark.parametrize("seen", [jnp.cos, lambda x: jnp.cos(jnp.deg2rad(x))])
def test_sites_declared_in_degrees_are_told_likewise(seen):
    def turned():
        phi = numpyro.sample("phi", dist.Uniform(-180 * u.deg, 180 * u.deg))
        psi = numpyro.sample("psi", dist.Normal(0.0, 30.0))
        numpyro.sample("x", dist.Normal(seen(phi) + seen(psi + phi), 0.1))

    cautions = ba.Problem(turned, observed={"x": 0.5}, units={"phi": "deg", "psi": "arcmin"}).cautions()
    assert {caution.name for caution in cautions} == ({"phi", "psi"} if seen is jnp.cos else set())
    assert all("Write its prior in radians" in caution.remedy for caution in cautions)
    assert ba.Problem(turned, observed={"x": 0.5}, units={"phi": "deg"}).cautions() == cautions[:1]


def test_arguments_within_trees_are_told_by_their_names():
    def program(lens):
        numpyro.sample("x", dist.Normal(numpyro.sample("a", dist.Normal(0.0, 1.0)) * jnp.cos(lens["angle"]), 0.1))

    (caution,) = ba.Problem(
        program, {"angle": np.array(30.0)}, observed={"x": 0.5}, units={"lens.angle": "deg"}
    ).cautions()
    assert caution.name == "lens.angle"


def test_an_engine_that_only_simulates_tells_of_angles_and_not_of_densities():
    def program(azimuth):
        scatter = numpyro.sample("scatter", dist.Normal(0.0, 1.0))
        numpyro.sample("x", dist.Normal(jnp.cos(azimuth), scatter))

    problem = ba.Problem(program, AZIMUTH, observed={"x": np.zeros(8)}, units={"azimuth": "deg"})
    angle, domain = problem.cautions()
    for needs, told in ((("simulate",), f"{angle}"), (("density",), f"{angle} {domain}")):
        with pytest.warns(UserWarning, match="^`azimuth` is in deg") as caught:
            warn_of_cautions(problem, SimpleNamespace(needs=needs))
        assert [str(warning.message) for warning in caught] == [told]


def test_degrees_taken_for_radians_are_told_by_checks_fits_and_diagnoses():
    problem, told = disc(AS_RADIANS["cosine"]), r"^`azimuth` is in deg, but .*units={\"azimuth\": \"rad\"}"
    table = problem.check()
    assert table.loc["NUTS", "caution"] == str(problem.cautions()[0])
    runs = (
        lambda: ba.fit(problem, NUTS, seed=1, progress=False),
        lambda: ba.fit_many(problem, {"velocity": [VELOCITY] * 2}, NUTS, seed=1, progress=False),
    )
    for run in runs:
        with pytest.warns(UserWarning, match=told) as caught:
            result = run()
        assert [warning.filename for warning in caught] == [__file__]
        (finding,) = (finding for finding in ba.diagnose(result) if finding.id == "angle_unit")
        assert finding.where.endswith("azimuth")
        assert "jnp.deg2rad(azimuth)" in finding.remedy
        assert "prior_domain" not in ba.diagnose(result).ids
    with pytest.warns(UserWarning, match=told) as caught:
        ba.simulate(problem, 2, seed=1, progress=False)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = ba.fit(disc(CONVERTED["deg2rad"]), NUTS, seed=1, progress=False)
    assert "angle_unit" not in ba.diagnose(result).ids


PROPOSALS = {
    "deg": ("rad", "deg"),
    "hourangle": ("rad", "hourangle"),
    "arcsec": ("rad", "arcsec"),
    "deg / d": ("rad / d", "deg / d"),
    "rad": ("rad", None),
    "arcsec / yr": ("arcsec / yr", None),
    "km / s": ("km / s", None),
}


@pytest.mark.parametrize("unit", PROPOSALS)
def test_radians_are_proposed_for_angles_of_which_the_unit_is_not_known(unit):
    proposed, own = PROPOSALS[unit]
    word = f' (radians, if the program takes its sine or cosine; else its own unit, such as "{own}")' if own else ""
    with pytest.raises(ValueError, match="`azimuth` came in") as caught:
        ba.Problem(lambda azimuth: numpyro.sample("x", dist.Normal(azimuth, 0.1)), AZIMUTH * u.Unit(unit))
    assert f'`Problem(..., units={{"azimuth": "{proposed}"}})`{word}, and quantities are converted' in str(caught.value)
