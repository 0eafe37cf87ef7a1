"""Bad input: each is refused in one clear message with the site or argument and a remedy; its neighbour is accepted.

None of the refusals may print, warn (warnings are errors here) or leave a file.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.distributions import constraints

import bayesastro as ba
from bayesastro.compilation import compile_clock
from bayesastro.refusals import CAPABILITIES

X = np.linspace(0.0, 1.0, 4)
Y = 2.0 * X
SIGMA = np.full(4, 0.1)
BAD = np.array([False, False, True, True])
KEY = jax.random.key(0)
TINY = ba.NUTS(num_chains=2, num_warmup=20, num_draws=20)


@pytest.fixture(autouse=True)
def _nothing_is_printed_or_written(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    yield
    assert tuple(capfd.readouterr()) == ("", "")
    assert not list(tmp_path.iterdir())


def refused(kind, message, action, *args, **kwargs):
    """Run an action that must raise, in one line of sentences with something to do."""
    with pytest.raises(kind, match=message) as caught:
        action(*args, **kwargs)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    return text


def fit(problem, engine=TINY):
    return ba.fit(problem, engine, seed=1, progress=False)


def line(x, sigma, settings=None):
    slope = numpyro.sample("slope", dist.Normal(0.0, 10.0))
    numpyro.deterministic("end", slope)
    numpyro.factor("penalty", -jnp.abs(slope))
    numpyro.sample("flux", dist.Normal(slope * x, sigma))


def line_problem(x=X, sigma=SIGMA, *, observed=None, **more):
    return ba.Problem(line, x, sigma, observed={"flux": Y} if observed is None else observed, **more)


# Names and shapes

NAMES = {
    "misspelt": (
        {"fluxx": Y},
        r"`observed` names `fluxx`, .* no such site; it has `slope`, `flux`\. Did you mean `flux`\?",
    ),
    "unknown": ({"zzz": Y}, "`observed` names `zzz`, .* no such site; it has `slope`, `flux`"),
    "one too many": ({"flux": Y, "flus": Y}, "`flus`.*Did you mean `flux`"),
    "deterministic": ({"end": 1.0}, "`observed` names `end`, which is a deterministic site"),
    "factor": ({"penalty": 1.0}, "`observed` names `penalty`, which is a factor site"),
    "shape": ({"flux": Y[:3]}, r"`flux` has shape \(3,\), .* shape \(4,\)\. Give .* one shape"),
    "number": ({"flux": 2.0}, r"`flux` has shape \(\), .* shape \(4,\)"),
    "too many axes": ({"flux": Y[None]}, r"`flux` has shape \(1, 4\), .* shape \(4,\)"),
    "no latent": ({"flux": Y, "slope": 1.0}, "no latent site.*Leave at least one site unobserved"),
}


@pytest.mark.parametrize("what", NAMES)
def test_observed_names_and_shapes(what):
    observed, message = NAMES[what]
    refused(ValueError, message, line_problem, observed=observed)


def test_observed_names_and_shapes_that_are_right():
    assert line_problem().observed.keys() == {"flux"}


def test_a_far_name_gets_no_guess():
    assert "Did you mean" not in refused(ValueError, "zzz", line_problem, observed={"zzz": Y})


@pytest.mark.parametrize("names", [["penalti"], "penalti", ["penalty", "penalti"]])
def test_unknown_prior_factors(names):
    refused(ValueError, "`prior_factors` names `penalti`, .*Did you mean `penalty`", line_problem, prior_factors=names)


@pytest.mark.parametrize("name", ["slope", "flux", "end"])
def test_prior_factors_that_are_other_sites(name):
    refused(
        ValueError, f"`prior_factors` names `{name}`, .* not a `numpyro.factor`", line_problem, prior_factors=[name]
    )


def test_prior_factors_that_are_right():
    assert "penalty" in line_problem(prior_factors=["penalty"]).log_prior({"slope": 1.0})


@pytest.mark.parametrize("observed", [Y, [("flux", Y)], "flux"], ids=["array", "pairs", "name"])
def test_observed_must_be_a_mapping(observed):
    refused(TypeError, "`observed` must map site names to arrays", line_problem, observed=observed)


def test_observed_values_in_other_wrappings():
    message = r'must map site names to arrays, but a `DataFrame` came\. Give the columns .*`table\["flux"\]`'
    refused(TypeError, message, line_problem, observed=pd.DataFrame({"flux": Y}))
    message = r"arguments do not fit .*Observed values are given by name, `observed=\{...\}`"
    refused(TypeError, message, ba.Problem, normal_line, X, SIGMA, {"flux": Y})
    refused(TypeError, "unexpected keyword .*Did you mean `observed`", ba.Problem, normal_line, X, SIGMA, observe={})
    refused(TypeError, "observed `flux` is None. Give an array, or leave", line_problem, observed={"flux": None})
    refused(
        ValueError, "observed `flux` has rows of unequal lengths", line_problem, observed={"flux": [[1.0], [1.0, 2.0]]}
    )


def normal_line(x, sigma):
    numpyro.sample("flux", dist.Normal(numpyro.sample("slope", dist.Normal(0.0, 10.0)) * x, sigma))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.zeros((300, 2)), r"an array of shape \(300, 2\) and dtype `float64`"),
        (jnp.zeros(3, np.float32), r"an array of shape \(3,\) and dtype `float32`"),
        (xr.Dataset({"a": ("x", X)}), "a `Dataset`"),
        (pd.DataFrame({"a": X}), "a `DataFrame`"),
        ([0.5] * 1000, r"\[0.5, 0.5, .*\.\.\."),
    ],
)
def test_values_that_came_are_told_in_a_few_words(value, told):
    problem = ba.Problem(normal_line, X, SIGMA, observed={"flux": Y})
    for kind, action, args in [
        (TypeError, ba.fit, (value, TINY)),
        (TypeError, ba.fit, (problem, value)),
        (ValueError, lambda num: problem.simulate(num, key=KEY), (value,)),
    ]:
        options = {"seed": 1} if action is ba.fit else {}
        assert len(refused(kind, f"{told} came", action, *args, **options)) < 250
    if not isinstance(value, xr.Dataset):
        refused(TypeError, f"such as `fit` returns, but {told} came", ba.diagnose, value)


# Arrays

ARRAYS = {
    "nan": (
        lambda a: np.where(BAD, np.nan, a),
        ValueError,
        r"{} has 2 non-finite value\(s\), the first at index \(2,\)",
    ),
    "inf": (lambda a: np.where(BAD, -np.inf, a), ValueError, "{} has 2 non-finite .*numpyro.handlers.mask"),
    "nan in single precision": (lambda a: np.where(BAD, np.nan, a).astype(np.float32), ValueError, "{} has 2 non-fin"),
    "nan in foreign bytes": (lambda a: np.where(BAD, np.nan, a).astype(">f8"), ValueError, "{} has 2 non-finite"),
    "nan on device": (lambda a: jax.device_put(np.where(BAD, np.nan, a)), ValueError, "{} has 2 non-finite"),
    "masked": (lambda a: np.ma.array(a, mask=BAD), TypeError, "{} is a masked array. Fill it .*numpyro.handlers.mask"),
    "strings": (lambda a: a.astype(str), TypeError, "{} has dtype `<U"),
    "data frame": (
        lambda a: pd.DataFrame({"a": a}),
        TypeError,
        r'must be of numbers, but a `DataFrame` came.*table\["flux"\]',
    ),
    "table": (
        lambda a: Table({"a": a}),
        TypeError,
        r"must be of numbers, but a `Table` came\. Give the columns one by one",
    ),
    "FITS table": (lambda a: Table({"a": a}).as_array(), TypeError, "must be of numbers, .*columns one by one"),
    "data set": (lambda a: xr.Dataset({"a": ("x", a)}), TypeError, "a `Dataset` came. Give the variables one by one"),
    "times": (
        lambda a: Time(a, format="mjd"),
        TypeError,
        r"a `Time` came\. Give days .*`\(t - t0\).to\(u.d\)`, .*`t.jd`",
    ),
    "durations": (
        lambda a: Time(a + 6e4, format="mjd") - Time(6e4, format="mjd"),
        TypeError,
        r"`TimeDelta` came.*`.to\(u.d\)`",
    ),
    "dates": (lambda a: pd.date_range("2020-01-01", periods=4), TypeError, "a `DatetimeIndex` came. Give days since"),
    "dates of NumPy": (
        lambda a: np.full(4, np.datetime64("2020-01-01")),
        TypeError,
        "dtype `datetime64.* Give days since",
    ),
    "places": (
        lambda a: SkyCoord(a, a, unit="deg"),
        TypeError,
        r"a `SkyCoord` came\. Give the angles, such as `c.ra.to",
    ),
    "objects": (lambda a: a.astype(object), TypeError, "{} has dtype `object`"),
    "random keys": (lambda a: jax.random.split(KEY, 4), TypeError, "{} is a random key.*`numpyro.sample` sites"),
}
if np.dtype(np.longdouble).itemsize > 8:  # elsewhere it is but another name of double precision
    ARRAYS["longdouble"] = (lambda a: a.astype(np.longdouble), TypeError, "{} has dtype .*at most double precision")


@pytest.mark.parametrize("where", ["argument `x`", "observed `flux`"])
@pytest.mark.parametrize("what", ARRAYS)
def test_arrays(what, where):
    convert, kind, message = ARRAYS[what]
    data = {"x": convert(X)} if where == "argument `x`" else {"observed": {"flux": convert(Y)}}
    refused(kind, message.format(where), line_problem, **data)


ACCEPTED = {
    "finite": lambda a: a,
    "dimensionless": lambda a: a * units.dimensionless_unscaled,
    "percent": lambda a: 100 * a * units.percent,
    "nothing masked": lambda a: np.ma.array(a, mask=False),
    "by number": lambda a: (a * units.Jy).to_value(units.mJy) / 1000,
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_arrays_beside_them_are_accepted(what):
    convert = ACCEPTED[what]
    found = line_problem(convert(X), observed={"flux": convert(Y)}).log_likelihood({"slope": 1.0})
    np.testing.assert_allclose(found["flux"], line_problem().log_likelihood({"slope": 1.0})["flux"])


def test_complex_data_are_refused_and_complex_arguments_are_not():
    def visibilities(uv, phase):
        flux = numpyro.sample("flux", dist.Uniform(0.0, 10.0))
        model = flux * uv * phase
        numpyro.sample("vis", dist.Normal(jnp.stack([model.real, model.imag], -1), 1.0))

    phase = np.exp(1j * X)
    data = np.stack([phase.real, phase.imag], -1)
    assert ba.Problem(visibilities, X, phase, observed={"vis": data}).provides == set(CAPABILITIES)
    message = "observed `vis` is complex, .*real and imaginary parts along an axis"
    refused(TypeError, message, ba.Problem, visibilities, X, phase, observed={"vis": phase})


# Arguments


def nested(lens):
    numpyro.sample("a", dist.Normal(jnp.sum(lens["model"]["theta_E"]), 1.0))


ARGUMENTS = {
    "list": (line, (list(X), SIGMA), TypeError, r"`x\[0\]` is part of a list of numbers\. .*`np.asarray`"),
    "list of whole numbers": (line, ([1, 2], SIGMA), TypeError, r"`x\[0\]` is part of a list of numbers"),
    "nested list": (line, (X, [[0.1, 0.2]]), TypeError, r"`sigma\[0\]\[0\]` is part of a list of numbers"),
    "set": (line, (X, SIGMA, {1, 2}), TypeError, "`settings` is a set, neither an array nor hashable"),
    "series": (line, (pd.Series(X), SIGMA), TypeError, "`x` is a Series, neither .*`np.asarray`"),
    "list in a dict": (
        nested,
        ({"model": {"theta_E": [1.0]}},),
        TypeError,
        r"`lens.model.theta_E\[0\]` is part of a list",
    ),
    "bounds reversed": (lambda: numpyro.sample("a", dist.Uniform(1.0, 0.0)), (), ValueError, "`a`.*`low` below `high`"),
    "bounds nowhere": (
        lambda: numpyro.sample("a", dist.Uniform(-np.inf, np.inf)),
        (),
        ValueError,
        "`a`: its `Uniform` needs finite ends. Give both, or a family that has none",
    ),
    "key": (line, (X, SIGMA, jax.random.key(3)), TypeError, "argument `settings` is a random key"),
    "masked number": (line, (X, np.ma.masked), TypeError, "argument `sigma` is a masked array"),
    "number with unit": (line, (X, 3.0 * units.s), ValueError, r"`sigma` came in s, .*`Problem\(\.\.\., units="),
    "within a dict": (
        nested,
        ({"model": {"theta_E": np.array([1.0, np.nan])}},),
        ValueError,
        r"argument `lens.model.theta_E` has 1 non-finite value\(s\), the first at index \(1,\)",
    ),
    "one missing": (line, (X,), TypeError, r"do not fit the program `line\(x, sigma, .*missing .*'sigma'"),
    "one too many": (line, (X, SIGMA, 1, 2), TypeError, "do not fit the program `line.*too many positional"),
    "number for a program": (3, (X, SIGMA), TypeError, r"needs a NumPyro program .*`numpyro.sample`.* 3 came"),
    "name for a program": ("line", (X, SIGMA), TypeError, "needs a NumPyro program .* 'line' came"),
    "no site at all": (lambda x: None, (X,), ValueError, "no latent site"),
}


@pytest.mark.parametrize("what", ARGUMENTS)
def test_arguments(what):
    program, args, kind, message = ARGUMENTS[what]
    refused(kind, message, ba.Problem, program, *args)


def test_unknown_keyword():
    refused(TypeError, "do not fit the program `line.*unexpected keyword argument 'sgma'", line_problem, sgma=1.0)
    refused(TypeError, "has no argument `sgma`. Did you mean `sigma`", line_problem().replace, sgma=1.0)


@pytest.mark.parametrize("settings", ["name", ("a", "b"), frozenset({1}), (1, 2), {"depth": 3}, None])
def test_settings_that_are_hashable(settings):
    assert line_problem(settings=settings).observed.keys() == {"flux"}


def test_data_within_the_program_that_do_not_broadcast_are_told_with_their_site():
    def program(y):
        slope = numpyro.sample("slope", dist.Normal(0.0, 10.0))
        numpyro.sample("flux", dist.Normal(slope * X, 1.0), obs=y)

    refused(ValueError, r"`flux` has shape \(3,\), .* that site shape \(4,\)", ba.Problem, program, Y[:3])
    assert ba.Problem(program, Y[:1]).observed.keys() == {"flux"}


# Domains of parameters and data

UNIT_MATRIX = np.eye(2)


def gaussian(**shape):
    def program(matrix):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        numpyro.sample("y", dist.MultivariateNormal(mean, **dict.fromkeys(shape, matrix)))

    return ba.Problem(program, *shape.values(), observed={"y": np.zeros(2)})


def normal(sigma):
    return line_problem(X, sigma)


def outliers(sigma):
    """A mixture of good points and outliers."""

    def program(sigma):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        widths = jnp.stack([sigma, 10.0 * jnp.ones_like(sigma)], -1)
        parts = dist.Normal(mean, widths)
        numpyro.sample("y", dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.9, 0.1])), parts))

    return ba.Problem(program, sigma, observed={"y": Y})


def bounded(low, high):
    return ba.Problem(lambda low, high: numpyro.sample("mean", dist.Uniform(low, high)), low, high)


def positive(width):
    return ba.Problem(lambda width: numpyro.sample("mean", dist.TruncatedNormal(0.0, width, low=0.0)), width)


CORRELATED = np.array([[1.0, 0.5], [0.5, 1.0]])
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])
SITE = "Site `{}`: `{}` of its `{}` has {} value"

DOMAINS = {
    "zero error": (normal, [SIGMA * ~BAD], [SIGMA], ("flux", "scale", "Normal", 2), "the first 0 at flat index 2"),
    "negative error": (normal, [SIGMA - 0.3 * BAD], [SIGMA], ("flux", "scale", "Normal", 2), "first -0.2 at"),
    "zero number": (normal, [0.0], [0.1], ("flux", "scale", "Normal", 1), "Errors and scales must be positive"),
    "negative number": (normal, [-0.1], [0.1], ("flux", "scale", "Normal", 1), "the first -0.1"),
    "nan number": (normal, [float("nan")], [0.1], ("flux", "scale", "Normal", 1), "the first nan"),
    "error in a mixture": (
        outliers,
        [SIGMA * ~BAD],
        [SIGMA],
        ("y", "component_distribution.scale", "MixtureSameFamily", 2),
        "the first 0 at flat index 4",
    ),
    "width of a truncated prior": (
        positive,
        [-1.0],
        [1.0],
        ("mean", "base_dist.scale", "LeftTruncatedDistribution", 1),
        "the first -1",
    ),
    "bounds reversed": (bounded, [1.0, 0.0], [0.0, 1.0], ("mean", "high - low", "Uniform", 1), "the first -1"),
    "bounds equal": (bounded, [1.0, 1.0], [1.0, 1.1], ("mean", "high - low", "Uniform", 1), "the first 0"),
}
COVARIANCES = {
    "indefinite": ("covariance_matrix", INDEFINITE, CORRELATED),
    "asymmetric": ("covariance_matrix", np.array([[1.0, 0.5], [0.1, 1.0]]), CORRELATED),
    "singular": ("covariance_matrix", np.ones((2, 2)) * 0.0, UNIT_MATRIX),
    "indefinite precision": ("precision_matrix", INDEFINITE, CORRELATED),
    "factor with a negative diagonal": ("scale_tril", np.diag([1.0, -1.0]), UNIT_MATRIX),
    "full factor": ("scale_tril", CORRELATED, np.tril(CORRELATED)),
}


@pytest.mark.parametrize("what", DOMAINS)
def test_parameters_outside_their_domain(what):
    build, wrong, right, named, detail = DOMAINS[what]
    refused(ValueError, SITE.format(*named) + r"\(s\).*" + detail, build, *wrong)
    assert build(*right).provides


@pytest.mark.parametrize("what", COVARIANCES)
def test_covariances_must_be_positive_definite(what):
    name, wrong, right = COVARIANCES[what]
    message = SITE.format("y", name, "MultivariateNormal", 1) + ".*covariances positive definite"
    refused(ValueError, message, gaussian, **{name: wrong})
    assert gaussian(**{name: right}).provides == set(CAPABILITIES)


def test_a_parameter_that_depends_on_latents_may_leave_its_domain():
    """The density is then zero, or not a number, there alone."""

    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(0.0, a))

    assert ba.Problem(program, observed={"y": 1.0}).provides == set(CAPABILITIES)


SUPPORTS = {
    "negative count": (dist.Poisson, [1, -1, 2, -4], [1, 1, 2, 4], r"2 value\(s\) outside .*`Poisson`, the first -1"),
    "broken count": (dist.Poisson, [1.0, 1.5, 2.0, 3.0], [1.0, 1.0, 2.0, 3.0], "1 value.*the first 1.5"),
    "beyond a bound": (
        lambda a: dist.TruncatedNormal(a, 1.0, low=0.0, high=5.0),
        [0.5, 5.5, 1.0, 2.0],
        [0.5, 4.5, 1.0, 2.0],
        r"1 value.*outside the support \(interval\).*the first 5.5",
    ),
    "not positive": (dist.Exponential, [1.0, 2.0, -3.0, 1.0], [1.0, 2.0, 3.0, 1.0], r"\(positive\)|\(nonnegative\)"),
    "no flag": (lambda a: dist.Bernoulli(logits=a), [0, 1, 2, 0], [0, 1, 1, 0], r"outside the support \(boolean\)"),
}


@pytest.mark.parametrize("by_obs", [False, True], ids=["observed", "obs="])
@pytest.mark.parametrize("what", SUPPORTS)
def test_data_outside_their_support(what, by_obs):
    family, wrong, right, message = SUPPORTS[what]

    def program(y=None):
        a = numpyro.sample("a", dist.LogNormal(0.0, 1.0))
        numpyro.sample("n", family(a * jnp.ones(4)), obs=y)

    def build(y):
        return ba.Problem(program, np.array(y)) if by_obs else ba.Problem(program, observed={"n": y})

    refused(ValueError, "Observed `n` has " + r".*" + message + ".*Correct the data or the family", build, wrong)
    np.testing.assert_array_equal(build(right).observed["n"], right)


def test_data_beyond_a_bound_that_moves_are_left_to_the_density():
    def program():
        edge = numpyro.sample("edge", dist.Uniform(1.0, 3.0))
        numpyro.sample("y", dist.Uniform(0.0, edge))

    problem = ba.Problem(program, observed={"y": 2.0})
    assert problem.log_likelihood({"edge": 1.5})["y"] == -np.inf
    assert problem.log_likelihood({"edge": 2.5})["y"] == pytest.approx(-np.log(2.5))


# What a program lacks


def discrete():
    number = numpyro.sample("culprit", dist.Poisson(3.0))
    numpyro.sample("y", dist.Normal(number, 1.0))


def improper():
    rate = numpyro.sample("culprit", dist.ImproperUniform(constraints.positive, (), ()))
    numpyro.sample("y", dist.Normal(rate, 1.0))


def factor():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.factor("culprit", -(a**2))


def subsampled():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    with numpyro.plate("culprit", 10, subsample_size=3):
        numpyro.sample("y", dist.Normal(a, 1.0))


def learnt():
    width = numpyro.param("culprit", 1.0)
    a = numpyro.sample("a", dist.Normal(0.0, width))
    numpyro.sample("y", dist.Normal(a, 1.0))


def scaled():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    with handlers.scale(scale=2.0):
        numpyro.sample("culprit", dist.Normal(a, 1.0))


def fixed():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(a * numpyro.sample("culprit", dist.Delta(2.0)), 1.0))


def noisy():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    noise = jax.random.normal(numpyro.prng_key())
    numpyro.sample("y", dist.Normal(a + noise, 1.0))


def autoregression(y):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("culprit", dist.Normal(a * y[:-1], 1.0), obs=y[1:])


def broadcast(y):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("culprit", dist.Normal(a, 1.0), obs=y)


class Lacking(NamedTuple):
    """A program, its arguments and data; what it lacks, and words of why and of the remedy."""

    program: object
    args: tuple
    observed: dict | None
    lacks: set
    words: str


LACKING = {
    "discrete": Lacking(
        discrete,
        (),
        {"y": 1.0},
        {"density", "gradient", "white"},
        "`culprit` has the discrete prior `Poisson`. Sum it out",
    ),
    "improper": Lacking(
        improper,
        (),
        {"y": 1.0},
        {"simulate", "proper_prior", "white"},
        "`culprit` has `ImproperUniform`. Give it a proper prior",
    ),
    "factor": Lacking(
        factor, (), {}, {"simulate", "fisher"}, "`culprit` is a `numpyro.factor`, which generates nothing. Write it as"
    ),
    "subsampled": Lacking(
        subsampled, (), {}, set(CAPABILITIES), "plate `culprit` is subsampled, .*random. Use the whole plate"
    ),
    "learnt": Lacking(
        learnt,
        (),
        {"y": 1.0},
        set(CAPABILITIES),
        "`culprit` is a `numpyro.param`. Make it a `numpyro.sample` site",
    ),
    "scaled": Lacking(
        scaled,
        (),
        {"culprit": 1.0},
        {"simulate", "proper_prior", "white"},
        "`culprit` has a scaled log-density. Drop `numpyro.handlers.scale`",
    ),
    "fixed": Lacking(
        fixed,
        (),
        {"y": 1.0},
        {"density", "gradient", "white"},
        "`culprit` has `Delta`, .*no density. Make .*numpyro.deterministic",
    ),
    "noisy": Lacking(
        noisy,
        (),
        {"y": 1.0},
        {"density", "gradient", "white"},
        "random keys itself .`numpyro.prng_key`.*Make that noise a `num",
    ),
    "autoregression": Lacking(
        autoregression,
        (np.arange(5.0),),
        None,
        {"simulate"},
        "`culprit` is computed from argument `y`, which holds the observed `culprit`. Compute it from sampled values",
    ),
    "broadcast": Lacking(
        broadcast,
        (X,),
        None,
        {"simulate"},
        r"`culprit` has shape \(\) but is observed with shape \(4,\). Give .* the shape",
    ),
}


@pytest.fixture(scope="module")
def lacking():
    return {name: ba.Problem(case.program, *case.args, observed=case.observed) for name, case in LACKING.items()}


@pytest.mark.parametrize("name", LACKING)
def test_a_program_lacks_what_it_lacks_and_nothing_else(lacking, name):
    case, problem = LACKING[name], lacking[name]
    assert set(problem.lacks) == case.lacks
    assert problem.provides == set(CAPABILITIES) - case.lacks
    for lack in problem.lacks.values():
        assert lack.site in ("culprit", "prng_key")


@pytest.mark.parametrize("name", LACKING)
def test_views_that_need_it_refuse(lacking, name):
    case, problem = LACKING[name], lacking[name]
    if "simulate" in case.lacks:
        message = "`simulate` needs a program that generates its data, but .*" + case.words
        refused(ValueError, message, problem.simulate, 3, key=KEY)
    else:
        assert len(problem.simulate(3, key=KEY).parameters) == len(problem.parameters)
    if "white" in case.lacks:
        message = "The white chart needs a prior with a map from standard normals, but .*" + case.words
        refused(ValueError, message, getattr, problem, "white")
    else:
        assert problem.white.size == 1


@pytest.mark.parametrize("name", [name for name, case in LACKING.items() if "density" in case.lacks])
def test_nuts_refuses_before_anything_compiles(lacking, name):
    with compile_clock() as clock:
        refused(ValueError, "`NUTS` needs a log-density, but .*" + LACKING[name].words, fit, lacking[name])
    assert clock.count == 0
    row = lacking[name].check().loc["NUTS"]
    assert not row["ok"]
    assert row["reason"].startswith("`NUTS` needs a log-density, but ")


@pytest.mark.parametrize("name", [name for name, case in LACKING.items() if "density" not in case.lacks])
def test_nuts_accepts_what_has_a_density(lacking, name):
    assert lacking[name].check().loc["NUTS", "ok"]
    assert ba.NUTS.refusal(lacking[name]) == ""


@pytest.mark.parametrize("name", ["improper", "factor"])
def test_nuts_runs_without_a_proper_prior_and_with_factors(lacking, name):
    assert fit(lacking[name]).attrs["status"] == "complete"


def test_neighbours_of_those_programs_lack_nothing():
    def whole_plate():
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        with numpyro.plate("star", 3, subsample_size=3):
            numpyro.sample("y", dist.Normal(a, 1.0))

    def generative_autoregression(length):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))

        def step(y, _):
            y = numpyro.sample("y", dist.Normal(a * y, 1.0))
            return y, None

        scan(step, 0.0, None, length=length)

    def unscaled():
        with handlers.scale(scale=1.0):
            a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(a, 1.0))

    def regression(x, y):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(a * x, 1.0), obs=y)

    def plated(y):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        with numpyro.plate("star", 4):
            numpyro.sample("y", dist.Normal(a, 1.0), obs=y)

    neighbours = [
        ba.Problem(whole_plate, observed={"y": np.zeros(3)}),
        ba.Problem(generative_autoregression, 4, observed={"y": np.arange(4.0)}),
        ba.Problem(unscaled, observed={"y": 1.0}),
        ba.Problem(regression, X, Y),
        ba.Problem(plated, Y),
    ]
    for problem in neighbours:
        assert not problem.lacks, problem


def test_a_density_that_is_finite_nowhere_is_named_at_the_start():
    def program(limit):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("fine", dist.Normal(a, 1.0))
        numpyro.factor("hopeless", jnp.where(a < limit, -jnp.inf, 0.0))

    problem = ba.Problem(program, np.array(1e6), observed={"fine": 0.0})
    text = refused(ValueError, "found no point of finite .* at site `hopeless`.*narrow the priors", fit, problem)
    assert "`fine`" not in text
    assert fit(problem.replace(np.array(-1e6))).attrs["status"] == "complete"


def test_a_dense_mass_matrix_must_fit():
    def field(size):
        numpyro.sample("field", dist.Normal(0.0, 1.0).expand([size]))

    engine = ba.NUTS(num_chains=2, num_warmup=20, num_draws=20, mass_matrix="dense")
    problem = ba.Problem(field, 6000)
    with compile_clock() as clock:
        refused(
            ValueError, 'dense mass matrix for 6000 parameters .*Use `mass_matrix="diagonal"`', fit, problem, engine
        )
    assert clock.count == 0
    TINY.validate(problem)
    engine.validate(ba.Problem(field, 300))


# Values of parameters and other arguments of the views


def two():
    numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("b", dist.Normal(0.0, 1.0).expand([2]))


@pytest.fixture(scope="module")
def pair():
    return ba.Problem(two)


THETAS = {
    "none": ({}, 0, "value is needed for the latent site `a`; values came for none"),
    "one missing": ({"a": 0.0}, 0, "value is needed for the latent site `b`; values came for `a`"),
    "misspelt": ({"a": 0.0, "B": [0.0, 0.0]}, 0, "latent site `b`; values came for `a`, `B`"),
    "shape": ({"a": 0.0, "b": np.zeros(3)}, 0, r"`b` has shape \(2,\), but its value has shape \(3,\)"),
    "number": ({"a": 0.0, "b": 0.0}, 0, r"`b` has shape \(2,\), but its value has shape \(\)"),
    "batch unasked": (
        {"a": np.zeros(4), "b": np.zeros((4, 2))},
        0,
        r"`a` has shape \(\), .* \(4,\) with `batch_ndims=0`",
    ),
    "batch missing": ({"a": 0.0, "b": np.zeros(2)}, 1, r"`a` has shape \(\), .* \(\) with `batch_ndims=1`"),
    "batch too small": ({"a": np.zeros(4), "b": np.zeros((4, 2))}, 2, r"`a` .* shape \(4,\) with `batch_ndims=2`"),
    "batches differ": (
        {"a": np.zeros(4), "b": np.zeros((3, 2))},
        1,
        r"`b` has the batch \(3,\), but .* \(4,\)\. Give all",
    ),
}


@pytest.mark.parametrize("view", ["log_prior", "log_likelihood", "replay"])
@pytest.mark.parametrize("what", THETAS)
def test_values_of_parameters(pair, what, view):
    theta, batch_ndims, message = THETAS[what]
    refused(ValueError, message, getattr(pair, view), theta, batch_ndims=batch_ndims)


@pytest.mark.parametrize(
    ("theta", "batch_ndims", "error", "message"),
    [
        (1.0, 0, TypeError, r"`theta` must map site names to values, but 1\.0 came"),
        ({"a": "one", "b": [0.0, 0.0]}, 0, TypeError, r"site `a` must be of real numbers, but .*one.* came"),
        ({"a": 1j, "b": [0.0, 0.0]}, 0, TypeError, "site `a` must be of real numbers"),
        (
            {"a": 0.0, "b": [0.0, 0.0]},
            -1,
            ValueError,
            "`batch_ndims` must be a whole number of at least 0, but -1 came",
        ),
    ],
)
def test_values_of_parameters_of_no_use(pair, theta, batch_ndims, error, message):
    refused(error, message, pair.log_prior, theta, batch_ndims=batch_ndims)


def test_values_of_parameters_that_are_right(pair):
    assert pair.log_prior({"a": 0.0, "b": np.zeros(2)})["b"].shape == ()
    assert pair.log_prior({"a": np.zeros(4), "b": np.zeros((4, 2))}, batch_ndims=1)["b"].shape == (4,)


@pytest.mark.parametrize("num", [0, -3])
def test_number_of_simulations(pair, num):
    refused(ValueError, f"`num` must be a whole number of at least 1, but {num} came", pair.simulate, num, key=KEY)
    assert pair.simulate(1, key=KEY).parameters["a"].shape == (1,)


@pytest.mark.parametrize("key", [3, None, "key", jax.random.split(jax.random.key(0), 2)])
def test_key_of_simulations(pair, key):
    refused(TypeError, r"`key` must be one JAX random key such as `jax.random.key\(0\)`", pair.simulate, 2, key=key)


def test_observed_names_that_are_no_names():
    refused(
        TypeError,
        "`observed` must map site names to arrays, but its keys include 1",
        ba.Problem,
        two,
        observed={1: 0.0},
    )


def test_precision(pair):
    refused(ValueError, '`precision` must be "double" or "single", but \'half\' came', pair.views, "half")
    assert pair.views("single").white.size == 3


def test_every_capability_is_refused_by_some_program():
    """A new capability needs a row in the table of programs that lack it."""
    assert set().union(*(case.lacks for case in LACKING.values())) == set(CAPABILITIES)


@pytest.mark.parametrize("asked", ["log_prior", "log_likelihood", "replay"])
def test_values_at_given_parameters_need_a_density(asked):
    with pytest.raises(ValueError, match="need a log-density, but the program draws random keys itself"):
        getattr(ba.Problem(noisy, observed={"y": 1.0}), asked)({"a": 0.0})
