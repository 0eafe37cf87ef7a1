"""Mistakes within a program: each is one sentence or two with the line where it is, and the remedy."""

import math
import re

import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bayesastro as ba

X = np.linspace(0.0, 1.0, 5)
Y = 2.0 * X
SIGMA = np.full(5, 0.1)


def line(x, sigma):
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample(
        "y",
        dist.Normal(a * x, sigma),
    )


def of(change):
    """A program whose mean is made by the function under test, of a latent and an argument."""

    def program(x):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(change(a, x), 1.0))

    return program


def branching(a, x):
    if a > 0:
        return a * x
    return x


def looping(a, x):
    while a > 1:
        a = a - 1
    return a * x


def assigning(a, x):
    x[0] = a
    return x


def filling(a, x):
    mean = np.zeros(5)
    mean[0] = a
    return mean


def in_a_plate(a, x):
    with numpyro.plate("star", jnp.asarray(5) + 0 * jnp.asarray(a, int)):
        return a * x


def forgetting(a, x):
    a * x


def formatting(a, x):
    assert f"{a:.3f}"
    return a * x


CONDITION = "`if`, `while`, .* need a value that is known before the program runs.* Write `jnp.where"
NUMBER = "`float`, `int`, .* need a number that is known before the program runs.* Leave the array as it is"
SIZE = "sizes, ranges and slices must be known before the program runs.* Pass a size as a Python `int`"
SELECTION = "an array selected by a condition has a length .* before they go into `Problem`, .*numpyro.handlers.mask"
ASSIGNED = r"entries of arrays cannot be assigned .*`a = a.at\[i\].set\(value\)`"
NONE = "None, of an argument or of a function without `return`, stands where an array is needed"

MEANS = {
    "if": (branching, "if a > 0:", CONDITION),
    "while": (looping, "while a > 1:", CONDITION),
    "max": (lambda a, x: max(a, 0.0) * x, "max(a, 0.0)", CONDITION),
    "numpy": (
        lambda a, x: np.sin(a) * x,
        "np.sin(a) * x",
        "NumPy, .* cannot compute .* Write `jnp.sin` .* for `np.sin`",
    ),
    "numpy on data": (lambda a, x: a * np.sin(x), "np.sin(x)", "Write `jnp.sin`"),
    "scipy": (
        lambda a, x: stats.norm.cdf(a) * x,
        "stats.norm.cdf",
        "Write it in `jax.numpy` or `jax.scipy`.*`bayesastro.external`",
    ),
    "float": (lambda a, x: float(a) * x, "float(a)", NUMBER),
    "int": (lambda a, x: int(a) * x, "int(a)", NUMBER),
    "item": (lambda a, x: a.item() * x, "a.item()", NUMBER),
    "math": (lambda a, x: math.sin(a) * x, "math.sin(a)", NUMBER),
    "range": (lambda a, x: sum(range(a.astype(int))) * x, "range(", SIZE),
    "zeros": (lambda a, x: jnp.zeros(a.astype(int)) * x, "jnp.zeros(", SIZE),
    "slice": (lambda a, x: x[: a.astype(int)], "x[: a.astype(int)]", SIZE),
    "plate": (in_a_plate, "numpyro.plate(", SIZE),
    "mask": (lambda a, x: a * x[x > 0.5], "x[x > 0.5]", SELECTION),
    "where": (lambda a, x: a * x[jnp.where(x > 0.5)[0]], "jnp.where(x > 0.5)", SELECTION),
    "assigned": (assigning, "x[0] = a", ASSIGNED),
    "assigned in numpy": (filling, "mean[0] = a", ASSIGNED),
    "no return": (forgetting, "change(a, x)", NONE),
    "string": (lambda a, x: a * "x", 'a * "x"', "a string, a list or a tuple stands where an array is needed"),
    "tuple": (lambda a, x: a * (1.0, 2.0), "a * (1.0, 2.0)", "a `tuple` stands where an array is needed"),
    "unit": (lambda a, x: a * u.km, "a * u.km", r"units have no place within the program.*`Problem\(\.\.\., units="),
    "format": (formatting, "{a:.3f}", "no value to be formatted .*`jax.debug.print`"),
    "shapes": (
        lambda a, x: a * x * x[:4],
        "a * x * x[:4]",
        r"shapes \(5,\), \(4,\) do not fit together.* are `x` \(5,\)",
    ),
}


def mistake(kind, problem, *args):
    """The message of a mistake, of which the line is here."""
    with pytest.raises(kind) as caught:
        problem(*args)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    assert re.match(r"`[^`]*test_mistakes.py`, line \d+, `", text)
    return text


@pytest.mark.filterwarnings("ignore:(shape|ndim) requires ndarray:DeprecationWarning")  # of JAX, of None
@pytest.mark.parametrize("what", MEANS)
def test_what_jax_cannot_trace_is_told_by_line_with_the_remedy(what):
    change, source, message = MEANS[what]
    kind = ValueError if what == "shapes" else TypeError
    text = mistake(kind, lambda: ba.Problem(of(change), X, observed={"y": Y}))
    assert source in text.split("`: ")[0]
    assert re.search(message, text), text


def test_a_parameter_of_another_length_is_told_with_its_site_and_shapes():
    text = mistake(ValueError, lambda: ba.Problem(line, X, SIGMA[:4], observed={"y": Y}))
    assert "dist.Normal(a * x, sigma)" in text
    assert "site `y`: its `Normal` has parameters of shapes that do not fit together: `loc` (5,), `scale` (4,)." in text
    assert "The arrays among its arguments are `x` (5,), `sigma` (4,)" in text


def test_a_plate_of_another_size_is_told_with_its_site():
    def program(x):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        with numpyro.plate("star", 4):
            numpyro.sample("y", dist.Normal(a * x, 1.0))

    text = mistake(ValueError, lambda: ba.Problem(program, X, observed={"y": Y}))
    assert "site `y` has shape (5,), but the plate `star` holds 4. Give the plate the length of the data" in text


@pytest.mark.parametrize("again", [numpyro.deterministic, lambda name, a: numpyro.sample(name, dist.Normal(a, 1.0))])
def test_a_name_that_stands_twice_is_told(again):
    def program():
        again("a", numpyro.sample("a", dist.Normal(0.0, 1.0)))

    text = mistake(ValueError, ba.Problem, program)
    assert "the name of the site `a` stands twice in the program" in text
    assert '`f"a_{i}"`' in text


NO_DISTRIBUTIONS = {
    "class": (lambda: numpyro.sample("a", dist.Normal), "a class of them came"),
    "number": (lambda: numpyro.sample("a", 3.0), "a `float` came"),
    "swapped": (lambda: numpyro.sample(dist.Normal(0.0, 1.0), "a"), "a string came"),
    "no name": (lambda: numpyro.sample(dist.Normal(0.0, 1.0)), "nothing came"),
    "of SciPy": (lambda: numpyro.sample("a", stats.norm()), "a `rv_continuous_frozen` came"),
    "parameter": (
        lambda: numpyro.sample("a", dist.Normal(local=0.0)),
        r"no parameter `local`\. It has `loc`, .*Did you mean `loc`",
    ),
}


@pytest.mark.parametrize("what", NO_DISTRIBUTIONS)
def test_what_is_no_distribution_is_told(what):
    program, message = NO_DISTRIBUTIONS[what]
    assert re.search(message, mistake(TypeError, ba.Problem, program))


def test_other_errors_keep_their_kind_and_are_told_by_line():
    def program(x):
        numpyro.sample("a", dist.Norml(0.0, 1.0))

    with pytest.raises(AttributeError, match="Norml") as caught:
        ba.Problem(program, X)
    assert any("program `program`, run on the arguments `x` (5,)" in note for note in caught.value.__notes__)
    assert any('in the line `numpyro.sample("a", dist.Norml' in note for note in caught.value.__notes__)


def test_names_of_sites_are_strings_and_sites_have_no_keys_of_their_own():
    with pytest.raises(TypeError, match=r"^The name of a site must be a string, but 1 came"):
        ba.Problem(lambda: numpyro.sample(1, dist.Normal(0.0, 1.0)))
    with pytest.raises(TypeError, match=r"^Site `a` has a random key of its own.*Leave `rng_key` out"):
        ba.Problem(lambda: numpyro.sample("a", dist.Normal(0.0, 1.0), rng_key=jax.random.key(0)))


def test_noise_of_numpy_is_told_since_it_is_drawn_once():
    def program(x):
        a = numpyro.sample("a", dist.Normal(np.random.normal(), 1.0))
        numpyro.sample("y", dist.Normal(a * x, 1.0))

    with pytest.warns(UserWarning, match="`program` draws with `numpy.random`, .*numpyro.sample"):
        ba.Problem(program, X, observed={"y": Y})
