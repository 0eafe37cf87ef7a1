"""Every engine on every problem of the matrix: what it owes whatever its algorithm, and that it does what it claims."""

import copy
import functools

import arviz_stats
import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr
from matrix import ENGINES, NUM_COMPARISONS, PROBLEMS, Truth, Z

import bayesastro as ba
from bayesastro.compilation import compile_clock
from bayesastro.inference.alone import functions_of


@functools.cache
def truth_of(problem: str) -> Truth:
    return PROBLEMS[problem]()


@functools.cache
def result_of(engine: str, problem: str) -> xr.DataTree:
    return ba.fit(truth_of(problem).problem, ENGINES[engine].engine, seed=20, progress=False)


def runs(engine: str, problem: str) -> bool:
    """Whether the problem meets the engine's needs."""
    return not ENGINES[engine].engine.refusal(truth_of(problem).problem)


PAIRS = [(engine, problem) for engine in ENGINES for problem in PROBLEMS if runs(engine, problem)]


VARIANTS = ("nuts_dense", "mclmc_adjusted", "mgvi")
"""Rows of an engine that another row stands for in the fast suite."""

ONE_BY_ONE = [pytest.param(engine, marks=pytest.mark.slow) if engine in VARIANTS else engine for engine in ENGINES]


def quick_problem(engine: str) -> str:
    """The problem that an engine runs in the fast suite, where a fit's time is that of compiling; NUTS runs all."""
    return "bounded_hierarchy" if runs(engine, "bounded_hierarchy") else "eight_schools"


def marked(found, *, may_fail=False):
    """Parameters of a test over pairs; those of the slow suite and the known failures marked so."""
    parameters = []
    for engine, problem in found:
        marks = (
            []
            if engine == "nuts" or (engine not in VARIANTS and problem == quick_problem(engine))
            else [pytest.mark.slow]
        )
        if may_fail and (reason := ENGINES[engine].known_failures.get(problem)):
            marks.append(pytest.mark.xfail(strict=True, reason=reason, raises=AssertionError))
        parameters.append(pytest.param(engine, problem, marks=marks))
    return parameters


def test_every_engine_runs_most_problems():
    for engine in ENGINES:
        assert sum(e == engine for e, _ in PAIRS) >= 5


@pytest.mark.parametrize(("engine", "problem"), marked(PAIRS))
def test_result_has_the_schema(engine, problem):
    result, row = result_of(engine, problem), ENGINES[engine]
    sizes = result["posterior"].sizes
    shape = (sizes["chain"], sizes["draw"])
    assert row.shape in (shape, None)
    parameters = truth_of(problem).problem.parameters
    assert {"posterior", "sample_stats"} <= set(result.children)
    for site in parameters:
        assert result["posterior"][site.name].shape == (*shape, *site.shape)
        assert result["posterior"][site.name].dtype == np.float64
        assert np.isfinite(result["posterior"][site.name]).all()
    assert row.stats <= set(result["sample_stats"].data_vars)
    assert result["sample_stats"]["lp"].shape == shape
    assert result.attrs["status"] == "complete"
    assert result.attrs["exactness"] == row.engine.exactness


@pytest.mark.parametrize(("engine", "problem"), marked(PAIRS))
def test_lp_is_the_density_of_the_draws(engine, problem):
    """`lp` is the log-density in the engine's coordinates at the parameters of the same draw, Jacobian included."""
    result, problem = result_of(engine, problem), truth_of(problem).problem
    theta = {site.name: result["posterior"][site.name].values[:, -5:] for site in problem.parameters}
    chart = getattr(problem, ENGINES[engine].engine.chart)
    with jax.enable_x64(True):
        to_z = jax.vmap(jax.vmap(chart.to_coordinates, in_axes=(0, None)), in_axes=(0, None))
        density = jax.vmap(jax.vmap(chart.log_density, in_axes=(0, None)), in_axes=(0, None))
        lp = np.asarray(density(to_z(theta, problem.data), problem.data))
    np.testing.assert_allclose(result["sample_stats"]["lp"].values[:, -5:], lp, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("engine", "problem"), marked((e, p) for e, p in PAIRS if p == "bounded_hierarchy"))
def test_draws_respect_bounds_simplexes_and_dynamic_supports(engine, problem):
    posterior = result_of(engine, problem)["posterior"]
    assert np.allclose(posterior["weights"].sum("weights_dim_0"), 1.0)
    assert (posterior["weights"] > 0).all()
    assert (posterior["rate"] > 0).all()
    assert ((posterior["alpha"] > 0) & (posterior["alpha"] < 1)).all()
    assert ((posterior["beta"] > 0) & (posterior["beta"] < 1 - posterior["alpha"])).all()


@pytest.mark.parametrize("engine", ONE_BY_ONE)
def test_same_seed_same_draws_without_compiling_again(engine):
    name, settings = quick_problem(engine), ENGINES[engine].engine
    problem = truth_of(name).problem
    first = result_of(engine, name)
    reversed_data = {site: values[::-1] if values.ndim else values for site, values in problem.observed.items()}
    changed = problem.replace(observed=reversed_data)
    ba.fit(changed, settings, seed=1, progress=False)
    with compile_clock() as clock:
        again = ba.fit(problem, settings, seed=20, progress=False)
        other = ba.fit(changed, settings, seed=1, progress=False)
    assert clock.count == 0
    if settings.is_traced:  # a state as `init` leaves it and one as `advance` does are of the same types
        assert functions_of(settings, problem.views())[1]._cache_size() == 1
    assert again["posterior"].equals(first["posterior"])
    site = problem.parameters[0].name
    assert not np.array_equal(other["posterior"][site], first["posterior"][site])


@pytest.mark.parametrize("engine", ONE_BY_ONE)
def test_blocks_and_interruptions_change_nothing(engine, tmp_path, monkeypatch):
    """A run stopped after every block and continued from its checkpoint equals the uninterrupted one."""
    monkeypatch.setattr("bayesastro.drive.BLOCK_SECONDS", 0.05)
    name, settings = quick_problem(engine), ENGINES[engine].engine
    problem = truth_of(name).problem
    for _ in range(300):
        result = ba.fit(problem, settings, seed=20, progress=False, checkpoint=tmp_path / "run", time_limit=1e-3)
        if result.attrs["status"] == "complete":
            break
    assert result.attrs["status"] == "complete"
    uninterrupted = result_of(engine, name)
    assert result["posterior"].equals(uninterrupted["posterior"])
    assert result["sample_stats"].equals(uninterrupted["sample_stats"])


@pytest.mark.parametrize("engine", ONE_BY_ONE)
def test_inputs_are_left_as_they_are(engine):
    problem = truth_of(quick_problem(engine)).problem
    before = copy.deepcopy(problem.data)
    ba.fit(problem, ENGINES[engine].engine, seed=20, progress=False, time_limit=1e-3)
    jax.tree.map(np.testing.assert_array_equal, problem.data, before)


@pytest.mark.parametrize("engine", ONE_BY_ONE)
def test_an_unmet_need_is_refused_before_anything_compiles(engine):
    def program():
        n = numpyro.sample("n", dist.Poisson(3.0))
        numpyro.sample("y", dist.Normal(n, 1.0))

    problem = ba.Problem(program, observed={"y": np.array(2.0)})
    with compile_clock() as clock, pytest.raises(ValueError, match=r"needs .* but site `n` has the discrete prior"):
        ba.fit(problem, ENGINES[engine].engine, seed=1)
    assert clock.count == 0


@pytest.mark.parametrize(("engine", "problem"), marked(PAIRS, may_fail=True))
def test_moments_agree_with_the_truth_within_their_monte_carlo_error(engine, problem):
    truth, result, tolerance = truth_of(problem), result_of(engine, problem), ENGINES[engine].tolerance
    if (truth.is_hard or problem in ENGINES[engine].rough) and ba.diagnose(result):
        return
    posterior = result["posterior"].to_dataset()[list(truth.mean)]
    ess, are_walkers = result.attrs.get("ess"), result.attrs.get("chains_are") == "walkers"
    sd = {name: truth.sd.get(name, float(posterior[name].std())) for name in truth.mean}
    assert_mean(posterior, truth.mean, "mean", {name: tolerance * sd[name] for name in sd}, ess, are_walkers)
    # The error of an sd has no estimate that holds for skewed posteriors; that of a mean square deviation has.
    deviations = posterior[list(truth.sd)] - {name: truth.mean[name] for name in truth.sd}
    variance = {name: np.square(sd) for name, sd in truth.sd.items()}
    slack = {name: ((1 + tolerance) ** 2 - 1) * value for name, value in variance.items()}
    assert_mean(deviations**2, variance, "variance", slack, ess, are_walkers)


def assert_mean(draws, expected, what, slack, ess, are_walkers):
    """Draws from weighted points are worth `ess` independent ones before they were drawn, and draws are fewer yet.
    Walkers depend on each other, so that only the series of their mean has a Monte Carlo error."""
    if are_walkers:
        draws = draws.mean("chain").expand_dims("chain")
    if ess is None:
        error = arviz_stats.mcse(draws, method="mean")
    else:
        error = draws.std(("chain", "draw")) * np.sqrt(1 / ess + 1 / (draws.sizes["chain"] * draws.sizes["draw"]))
    for name, value in expected.items():
        off = np.abs(draws[name].mean(("chain", "draw")) - value)
        allowed = Z * error[name] + slack[name]
        assert np.all(off <= allowed), f"{what} of {name}: {(off / allowed).values} of what is allowed"


EVIDENCES = [
    (engine, problem)
    for engine in ("nested", "smc")
    for problem in PROBLEMS
    if problem not in ENGINES[engine].known_failures
]


@pytest.mark.parametrize(("engine", "problem"), marked(EVIDENCES))
def test_evidence_agrees_with_the_truth_within_its_error(engine, problem):
    truth, result = truth_of(problem), result_of(engine, problem)
    off = abs(result.attrs["log_evidence"] - truth.log_evidence)
    # Where the likelihood is constant the error is one of rounding.
    assert off <= Z * result.attrs["log_evidence_err"] + 1e-9


@pytest.mark.parametrize(("engine", "problem"), marked((e, p) for e, p in PAIRS if p not in ENGINES[e].known_failures))
def test_the_result_is_diagnosed_as_good_unless_it_is_not(engine, problem):
    """Short runs may miss a threshold by a little, and no more."""
    found = ba.diagnose(result_of(engine, problem))
    if problem in ENGINES[engine].rough:
        assert found
    elif not truth_of(problem).is_hard:
        assert not [finding for finding in found if not is_mild(finding)]


def is_mild(finding):
    if finding.id.startswith("ess"):
        return finding.number > 0.5 * finding.threshold
    return finding.number <= {"rhat": 1.02, "divergences": 5}.get(finding.id, -np.inf)


@pytest.mark.parametrize("engine", ["nuts", pytest.param("nuts_dense", marks=pytest.mark.slow)])
def test_a_funnel_is_reported_and_not_passed_off_as_a_result(engine):
    assert ba.diagnose(result_of(engine, "funnel"))


@pytest.mark.parametrize(("engine", "problem"), marked(p for p in PAIRS if "log_weight" in ENGINES[p[0]].stats))
def test_an_evidence_bound_lies_below_the_evidence_and_near_it(engine, problem):
    attributes, truth = result_of(engine, problem).attrs, truth_of(problem)
    error = Z * attributes["elbo_err"] + 1e-6
    assert attributes["elbo"] < truth.log_evidence + error
    if problem not in ENGINES[engine].rough:
        assert attributes["elbo"] > truth.log_evidence - error - 0.02


def test_the_false_alarm_rate_covers_every_comparison():
    moments = [v for p in PROBLEMS for group in (truth_of(p).mean, truth_of(p).sd) for v in group.values()]
    number = len(ENGINES) * sum(np.size(v) for v in moments) + len(EVIDENCES)
    assert number <= NUM_COMPARISONS
