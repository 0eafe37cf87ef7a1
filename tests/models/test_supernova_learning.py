"""What networks learn of surveys of supernovae, beside the exact posterior and exact evidences of the same program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import supernovae

import bayesastro as ba
from bayesastro.inference.neural.embeddings import Regression, SetNetwork
from bayesastro.models.cosmology import supernova_summaries, supernova_survey

SURVEY, TRUTH = supernova_survey.Survey(), supernovae.LATENT_TRUTH
WANTED = ["Omega_m", "w0", "alpha", "beta"]


@pytest.mark.slow
def test_learnt_marginals_are_those_of_the_exact_posterior():
    """Of 1000 explosions, half of them found, with Ω_m and w as degenerate as supernovae alone leave them."""
    catalogue = supernovae.catalogue(1000, survey=SURVEY, seed=11)
    engine = ba.NUTS(num_warmup=300, num_draws=400, mass_matrix="dense", target_accept=0.9)
    exact = ba.fit(supernova_survey.build(catalogue, SURVEY), engine, seed=1, progress=False)["posterior"]
    problem = supernova_summaries.build(supernova_summaries.summary(catalogue, SURVEY, 8), 1000, SURVEY)
    settings = ba.TMNRE(
        marginals=[*WANTED, ("Omega_m", "w0")],
        num_simulations=6000,
        max_rounds=3,
        min_shrink=0.7,
        hidden=64,
        num_features=32,
        max_epochs=30,
        patience=8,
        batch_size=128,
    )
    marginals = settings.train(problem, seed=1, progress=False)
    learnt = marginals.summary()
    for name in WANTED:
        mean, sd = float(exact[name].mean()), float(exact[name].std())
        assert abs(learnt.loc[name, "mean"] - mean) < 0.5 * sd, name
        assert 0.85 < learnt.loc[name, "sd"] / sd < 1.5, name
    pairs = np.stack([exact[name].values.ravel() for name in ("Omega_m", "w0")])
    learnt_pairs = marginals.draws(("Omega_m", "w0"), 4000, seed=1)
    assert learnt_pairs.corr().iloc[0, 1] == pytest.approx(np.corrcoef(pairs)[0, 1], abs=0.15)
    table = marginals.coverage(problem, 400, seed=5)
    assert table["passed"].all(), str(table)


@pytest.mark.slow
def test_a_set_network_covers_the_truth():
    """A learnt embedding of the catalogue itself: wider than the exact posterior with so few simulations, but not wrong."""
    catalogue = supernovae.catalogue(256, survey=SURVEY, seed=1)
    problem = supernova_survey.build(catalogue, SURVEY)
    network = SetNetwork(features=("redshift",), mask="found", width=32, num_factors=8)
    settings = ba.TMNRE(
        marginals=[*WANTED, ("Omega_m", "w0")],
        num_simulations=6000,
        max_rounds=2,
        min_shrink=0.5,
        embeddings={"fit": network},
        num_features=32,
        hidden=64,
        max_epochs=15,
        batch_size=64,
        learning_rate=2e-3,
        weight_decay=0.01,
    )
    marginals = settings.train(problem, seed=1, progress=False)
    table = marginals.coverage(problem, 300, seed=5)
    assert table["passed"].all(), str(table)
    assert marginals.rounds["share"].iloc[-1] < 0.5


def laplace(problem, start):
    """Means and sds of a posterior that is nearly normal, by Newton's steps from near its mode."""
    small = supernova_survey.build(supernovae.catalogue(20, survey=SURVEY), SURVEY)
    chart, data, small_data = problem.unconstrained, problem.data, small.data
    with jax.enable_x64(True):
        z = chart.to_coordinates({name: jnp.asarray(value) for name, value in start.items()}, data)
        gradient = jax.grad(lambda z: chart.log_density(z, data))

        @jax.jit
        def derivatives(z):
            return gradient(z), jax.lax.map(lambda v: jax.jvp(gradient, (z,), (v,))[1], jnp.eye(z.size))

        for _ in range(3):
            g, hessian = derivatives(z)
            z = z - jnp.linalg.solve(hessian, g)
        covariance = np.linalg.inv(-np.asarray(hessian))
        draws = np.random.default_rng(1).multivariate_normal(np.asarray(z), covariance, 4000)
        theta = jax.vmap(lambda z: small.unconstrained.to_parameters(z, small_data))(jnp.asarray(draws))
        return {name: (float(values.mean()), float(values.std())) for name, values in theta.items()}


@pytest.mark.slow
def test_a_hundred_thousand_supernovae():
    """Rounds of 2000: what is wanted is known as well as it can be, but for a tenth or two in Ω_m and w."""
    size = 210_000
    catalogue = supernovae.catalogue(size, survey=SURVEY, seed=11)
    assert catalogue["found"].sum() > 100_000
    exact = laplace(supernova_survey.build(catalogue, SURVEY), TRUTH)
    problem = supernova_summaries.build(supernova_summaries.summary(catalogue, SURVEY), size, SURVEY)
    settings = ba.TMNRE(
        marginals=[*TRUTH, ("Omega_m", "w0")],
        num_simulations=2000,
        embeddings={"summary": Regression()},
        max_rounds=8,
        hidden=32,
        num_features=32,
        num_contrasts=5,
        max_epochs=40,
        patience=8,
        batch_size=64,
        learning_rate=2e-3,
    )
    marginals = settings.train(problem, seed=1, progress=False)
    learnt = marginals.summary()
    for name in WANTED:
        assert abs(learnt.loc[name, "mean"] - exact[name][0]) < 2 * exact[name][1], name
        assert 0.8 < learnt.loc[name, "sd"] / exact[name][1] < 1.5, name
    table = marginals.coverage(problem, 300, seed=5)
    assert table.loc[WANTED, "passed"].all(), str(table)


HOSTS = np.arange(128) >= 64
"""Whether they are massive."""


@pytest.mark.slow
def test_a_classifier_says_whether_hosts_matter_as_evidences_do():
    """A step in magnitude at massive hosts or none: probabilities of a network, and of nested sampling."""
    survey = supernova_survey.Survey(limit=24.4)

    def explosions(step, seed):
        return supernovae.catalogue(128, survey=survey, is_heavy=HOSTS, mass_step=step, seed=seed)

    def summary(catalogue):
        return supernova_summaries.summary(catalogue, survey, 3, HOSTS)

    first = explosions(0.0, 1)
    problems = {
        name: supernova_summaries.build(summary(first), 128, survey, "lambda", mass_step=name == "step")
        for name in ("none", "step")
    }
    banks = {name: ba.simulate(p, 15_000, seed=i, progress=False) for i, (name, p) in enumerate(problems.items(), 1)}
    settings = ba.Classifier(hidden=64, num_features=16, max_epochs=40, patience=8, batch_size=128)
    classifier = settings.train(problems, banks, seed=1, progress=False)
    report = ba.reliability(classifier, problems, num_simulations=1000, seed=3, progress=False)
    assert report.verdict == "pass", str(report)
    assert report.scores["log_score"] < report.scores["prior_log_score"] - 0.05
    exact = {
        name: supernova_survey.build(first, survey, "lambda", is_heavy=HOSTS, mass_step=name == "step")
        for name in problems
    }
    engine = ba.NestedSampler(num_live=120, num_inner_steps=24)
    for seed, step in enumerate((-0.15, 0.0), 1):
        catalogue = explosions(step, 100 + seed)
        learnt = classifier.log_bayes_factor({"summary": summary(catalogue)[None]}, "step", "none")[0]
        found = {
            name: ba.fit(p.replace(observed=catalogue), engine, seed=seed, progress=False).attrs
            for name, p in exact.items()
        }
        nested = found["step"]["log_evidence"] - found["none"]["log_evidence"]
        error = np.hypot(*(found[name]["log_evidence_err"] for name in found))
        if step:  # odds so large are in the tail of what was simulated: the network knows their size roughly
            assert min(learnt, nested) > 3
        else:
            assert abs(learnt - nested) < 0.7 + 3 * error
