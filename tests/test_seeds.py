"""Seeds that were left out: told with a remedy, wherever one is needed, while signatures go on to require them."""

import inspect
from inspect import Parameter

import child
import pytest

import bayesastro as ba
from bayesastro.inference.neural.marginals import Marginals
from bayesastro.inference.sequential import Sequential
from bayesastro.thinning import thinned

READS_IN_ANY_ORDER = {"Bank.batches", "Bank.split"}
"""What takes None or several numbers for a seed, and is for those who write training loops."""


def required(function):
    return [p for p in inspect.signature(function).parameters.values() if p.default is Parameter.empty]


def seeded():
    """Public functions, and methods of public classes, that need a seed."""
    public = [thinned, Marginals, Sequential, *(getattr(ba, name) for name in ba.__all__)]
    for thing in public:
        members = vars(thing).values() if inspect.isclass(thing) else [thing]
        for function in filter(inspect.isfunction, members):
            if any(p.name == "seed" and p.kind is Parameter.KEYWORD_ONLY for p in required(function)):
                yield function


FUNCTIONS = {f.__qualname__: f for f in seeded() if f.__qualname__ not in READS_IN_ANY_ORDER}


def test_functions_that_need_a_seed_are_found():
    known = {"fit", "fit_many", "calibrate", "crosscheck", "predict", "simulate", "NPE.train", "Sequential.follow"}
    assert known < set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_seed_that_was_left_out_is_asked_for(name):
    function = FUNCTIONS[name]
    others = [p for p in required(function) if p.name != "seed"]
    given = [None for p in others if p.kind is not Parameter.KEYWORD_ONLY]
    named = {p.name: None for p in others if p.kind is Parameter.KEYWORD_ONLY}
    message = r"^A seed is needed, a whole number that makes the run repeatable\. Give one by name, such as `seed=1`\.$"
    with pytest.raises(TypeError, match=message):
        function(*given, **named)
    with pytest.raises(ValueError, match="`seed` must be a whole number from 0"):
        function(*given, **named, seed=-1)


def test_other_arguments_that_were_left_out_are_pythons_to_tell():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'engine'"):
        ba.fit(child.problem())


def test_a_random_key_that_was_left_out_is_asked_for():
    with pytest.raises(TypeError, match=r"one JAX random key such as `jax.random.key\(0\)`, but nothing came"):
        child.problem().simulate(3)
    assert "key" in [p.name for p in required(ba.Problem.simulate)]
