"""`problem.check()`: each engine refuses each kind of program that it cannot serve, by site and with a remedy."""

import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import bayesastro as ba
from bayesastro.inference import engines
from bayesastro.refusals import LEARNT


def measured(value):
    numpyro.sample("y", dist.Normal(value, 1.0))


def discrete(family):
    def program():
        measured(numpyro.sample("culprit", family) * 1.0)

    return program


def prior(family):
    def program():
        measured(numpyro.sample("culprit", family).sum())

    return program


def factor_on_latents():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.factor("culprit", -jnp.abs(a))
    measured(a)


def factor_as_likelihood():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.factor("culprit", -(a**2))


def stochastic():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    measured(a + jax.random.normal(numpyro.prng_key()))


def subsampled():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    with numpyro.plate("culprit", 10, subsample_size=3):
        measured(a)


def on_the_host(code):
    def program():
        measured(code(numpyro.sample("a", dist.Normal(0.0, 1.0))))

    return program


def field():
    measured(numpyro.sample("culprit", dist.Normal(0.0, 1.0).expand((64, 64))).mean())


def boltzmann(a):
    return 2.0 * np.asarray(a)


GRADIENT = {"NUTS", "MCLMC", "GeoVI", "Pathfinder"}
EVIDENCE = {"NestedSampler", "SMC"}
ALL = GRADIENT | EVIDENCE | {"Ensemble"}
KEYED = {"stochastic simulator without a density": "numpyro.prng_key", "no gradient": "boltzmann"}

PROGRAMS = {
    "simplex": (prior(dist.Dirichlet(np.ones(3))), {}, {"GeoVI"}),
    "LKJ": (prior(dist.LKJCholesky(3, 1.0)), {}, {"GeoVI"}),
    "mixture prior": (
        prior(dist.MixtureSameFamily(dist.Categorical(np.ones(2) / 2), dist.Normal(np.array([-1.0, 1.0]), 0.1))),
        {},
        {"GeoVI"},
    ),
    "von Mises": (prior(dist.VonMises(0.0, 1.0)), {}, {"GeoVI"}),
    "finite discrete latent": (discrete(dist.Bernoulli(0.3)), {}, ALL),
    "countable discrete latent": (discrete(dist.Poisson(3.0)), {}, ALL),
    "improper prior": (
        prior(dist.ImproperUniform(constraints.real, (), ())),
        {},
        EVIDENCE | {"GeoVI"},
    ),
    "factor on latents": (factor_on_latents, {"prior_factors": ("culprit",)}, EVIDENCE | {"GeoVI"}),
    "factor as likelihood": (factor_as_likelihood, {"observed": {}}, {"GeoVI"}),
    "stochastic simulator without a density": (stochastic, {}, ALL),
    "subsampled plate": (subsampled, {}, ALL),
    "no gradient": (on_the_host(ba.external(boltzmann, ())), {}, GRADIENT),
    "field": (field, {}, {"NestedSampler", "Ensemble"}),
}
"""Program, options of `Problem`, and the engines that refuse it."""


def problem_of(kind):
    program, options, _ = PROGRAMS[kind]
    return ba.Problem(program, **({"observed": {"y": np.zeros(3 if kind == "subsampled plate" else ())}} | options))


@pytest.fixture(scope="module", params=PROGRAMS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def table(kind):
    return problem_of(kind).check()


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.__name__)
def test_an_engine_refuses_what_it_cannot_serve_and_nothing_else(kind, table, engine):
    name, refusing = engine.__name__, PROGRAMS[kind][2]
    ok, reason = table.loc[name, "ok"], table.loc[name, "reason"]
    assert ok == (name not in refusing), reason
    if ok:
        assert reason == ""
        return
    assert reason.startswith(f"`{name}` ")
    assert KEYED.get(kind, "`culprit`") in reason
    remedy = reason.split(". ", 1)[1]
    assert len(remedy) > 10
    for other in ALL - {name}:
        assert (f"`{other}`" in remedy) == (other not in refusing)


def test_every_engine_is_in_the_table():
    assert {engine.__name__ for engine in engines()} == ALL


EXTRAS = {
    "GeoVI": "`nifty8`, which is not installed. Run `pip install 'bayesastro[fields]'`, or use `NUTS`, `MCLMC`",
} | dict.fromkeys(LEARNT, "`torch`, which is not installed. Run `pip install 'bayesastro[neural]'`.")


def test_what_is_not_installed_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nifty8", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    problem = problem_of("simplex")
    table = problem.check()
    assert not table.loc["GeoVI", "reason"].startswith("`GeoVI` needs `nifty8`")  # which would not help
    problem = ba.Problem(prior(dist.Normal(0.0, 1.0)), observed={"y": 0.0})
    table = problem.check()
    assert set(table.index[~table["ok"]]) == set(EXTRAS)
    for name, told in EXTRAS.items():
        assert table.loc[name, "reason"].startswith(f"`{name}` needs {told}")
    with pytest.raises(ImportError, match=r"`GeoVI` needs `nifty8`.*bayesastro\[fields\]"):
        ba.fit(problem, ba.GeoVI(), seed=1)
    improper = problem_of("improper prior").check()
    assert "`GeoVI`" not in improper.loc["SMC", "reason"]


DISCRETE = {"finite discrete latent", "countable discrete latent"}
UNSIMULATED = {"improper prior", "factor on latents", "factor as likelihood", "subsampled plate"}


@pytest.mark.parametrize("method", LEARNT)
def test_a_neural_method_refuses_what_it_cannot_learn_and_nothing_else(kind, table, method):
    ok, reason = table.loc[method, "ok"], table.loc[method, "reason"]
    without_density = {"stochastic simulator without a density"} if method == "Corrected" else set()
    assert ok == (kind not in DISCRETE | UNSIMULATED | without_density), reason
    if not ok:
        assert reason.startswith(f"`{method}` needs")
        assert KEYED.get(kind, "`culprit`") in reason
        assert len(reason.split(". ", 1)[1]) > 10


def test_neural_methods_need_what_their_engines_say():
    assert set(LEARNT["NPE"]) == ba.Amortised.needs
    assert set(LEARNT["NLE"]) == set(LEARNT["NRE"]) == ba.Surrogate.needs
    assert set(LEARNT["Corrected"]) == ba.Corrected.needs


@pytest.mark.parametrize("width", [80, 40])
def test_the_table_is_printed_whole_in_a_narrow_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    table = ba.Problem(discrete(dist.Poisson(3.0)), observed={"y": np.array(2.0)}).check()
    lines = str(table).splitlines()
    assert repr(table) == str(table)
    text = " ".join(" ".join(lines).split())
    assert "..." not in text
    for engine, row in table.iterrows():
        assert engine in text
        if width == 80:
            assert row["reason"] in text
    assert width < 80 or max(map(len, lines)) <= 80


def one(name, prior, family):
    """A program of one latent, which a distribution of the site `y` is made of."""

    def program():
        numpyro.sample("y", family(numpyro.sample(name, prior)))

    return program


POSITIVE = "a prior that is positive, such as `HalfNormal` or `LogNormal`."
CAUTIONS = {
    "scale": (
        dist.Normal(0.0, 1.0),
        lambda s: dist.Normal(0.0, s),
        "`scale` of its `Normal` must be positive, but",
        POSITIVE,
    ),
    "rate": (
        dist.Normal(0.0, 1.0),
        lambda s: dist.Poisson(s),
        "`rate` of its `Poisson` must be positive, but",
        POSITIVE,
    ),
    "probability": (
        dist.Normal(0.0, 1.0),
        lambda p: dist.Bernoulli(probs=p),
        "`probs` of its `BernoulliProbs` must be between 0 and 1, but",
        "such as `Beta` or `Uniform`.",
    ),
    "part of a mixture": (
        dist.Normal(0.0, 1.0),
        lambda s: dist.MixtureSameFamily(dist.Categorical(probs=jnp.ones(2) / 2), dist.Normal(jnp.arange(2.0), s)),
        "`component_distribution.scale` of its `MixtureSameFamily` must be within its domain, but",
        "or transform it.",
    ),
    "ends": (
        dist.Normal(0.0, 1.0),
        lambda low: dist.Uniform(low, 0.5),
        "`high - low` of its `Uniform` must be positive, but",
        POSITIVE,
    ),
    "root": (
        dist.Normal(0.0, 1.0),
        lambda a: dist.Normal(jnp.sqrt(a), 1.0),
        "`loc` of its `Normal` is nan at",
        "or narrow the priors.",
    ),
}


@pytest.mark.parametrize("what", CAUTIONS)
def test_parameters_that_leave_their_domains_at_draws_from_the_prior_are_told_by_site(what):
    prior, family, why, remedy = CAUTIONS[what]
    table = ba.Problem(one("s", prior, family), observed={"y": 0.0}).check()
    told = table.loc["NUTS", "caution"]
    assert told.startswith(f"Site `y`: {why}")
    assert told.endswith(remedy)
    assert re.search(r" at \d+ of 32 draws from the prior", told)
    assert (table["caution"] == np.where(table["ok"], told, "")).all()


def test_priors_within_the_domains_need_no_caution():
    for prior in (dist.HalfNormal(1.0), dist.LogNormal(0.0, 5.0)):
        problem = ba.Problem(one("s", prior, lambda s: dist.Normal(0.0, s)), observed={"y": 0.0})
        assert (problem.check()["caution"] == "").all()
        assert problem.cautions() == ()


def test_only_the_first_site_that_leaves_its_domain_is_told():
    """What comes of it is no other fault."""

    def program():
        s = numpyro.sample("s", dist.Normal(0.0, 1.0))
        a = numpyro.sample("a", dist.Normal(0.0, jnp.log(s)))
        numpyro.sample("y", dist.Normal(a, 1.0))

    (caution,) = ba.Problem(program, observed={"y": 0.0}).cautions()
    assert (caution.site, caution.argument) == ("a", "scale")
    assert 0.5 < caution.fraction < 1.0
