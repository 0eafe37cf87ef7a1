"""What networks learn of surveys of supernovae, beside the exact posterior and exact evidences of the same program."""

import numpy as np
import pytest
import supernovae

import bayesastro as ba
from bayesastro.inference.neural.embeddings import SetNetwork
from bayesastro.models.cosmology import supernova_summaries, supernova_survey

SURVEY = supernova_survey.Survey()
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
        assert abs(learnt.loc[name, "mean"] - mean) < 0.4 * sd, name
        assert 0.85 < learnt.loc[name, "sd"] / sd < 1.4, name
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


HEAVY = np.arange(128) % 2 == 0


@pytest.mark.slow
def test_a_classifier_says_whether_hosts_matter_as_evidences_do():
    """A step in magnitude at massive hosts or none: probabilities of a network, and of nested sampling."""
    survey = supernova_survey.Survey(limit=24.4)
    empty = supernovae.catalogue(128, survey=survey, is_heavy=HEAVY)
    problems = {
        name: supernova_survey.build(empty, survey, "lambda", is_heavy=HEAVY, mass_step=name == "step")
        for name in ("none", "step")
    }
    banks = {name: ba.simulate(p, 4000, seed=i, progress=False) for i, (name, p) in enumerate(problems.items(), 1)}
    network = SetNetwork(features=("redshift", "is_heavy"), mask="found", width=24, num_factors=6)
    settings = ba.Classifier(
        embeddings={"fit": network},
        num_features=16,
        hidden=32,
        max_epochs=20,
        patience=6,
        batch_size=64,
        learning_rate=2e-3,
        weight_decay=0.01,
    )
    classifier = settings.train(problems, banks, seed=1, progress=False)
    report = ba.reliability(classifier, problems, num_simulations=1000, seed=3, progress=False)
    assert report.verdict == "pass", str(report)
    assert report.scores["log_score"] < report.scores["prior_log_score"] - 0.05
    for seed, step in enumerate((-0.12, 0.0), 1):
        catalogue = supernovae.catalogue(128, survey=survey, is_heavy=HEAVY, mass_step=step, seed=100 + seed)
        stacked = {name: values[None] for name, values in catalogue.items()}
        learnt = classifier.log_bayes_factor(stacked, "step", "none")[0]
        engine = ba.NestedSampler(num_live=120, num_inner_steps=24)
        found = {
            name: ba.fit(p.replace(observed=catalogue), engine, seed=seed, progress=False).attrs
            for name, p in problems.items()
        }
        exact = found["step"]["log_evidence"] - found["none"]["log_evidence"]
        error = np.hypot(*(found[name]["log_evidence_err"] for name in found))
        assert abs(learnt - exact) < 0.7 + 3 * error
