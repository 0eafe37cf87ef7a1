"""The engines that claim to be exact are calibrated on three programs; the one that does not shows its bias."""

import distributed
import fields
import light_curve
import matrix
import planted
import pytest

import bayesastro as ba

EXACT = {
    "NUTS": ba.NUTS(num_chains=2, num_warmup=500, num_draws=500, target_accept=0.9),
    "NestedSampler": ba.NestedSampler(num_live=150),
    "SMC": ba.SMC(num_islands=4, num_particles=250),
    "MCLMC": ba.MCLMC(num_chains=2, num_warmup=1000, num_draws=500, adjusted=True),
}


PROBLEMS = {
    "conjugate": planted.problem,
    "light curve": light_curve.problem,
    "eight schools": lambda: matrix.eight_schools().problem,
}


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("engine", EXACT)
def test_an_exact_engine_is_calibrated(engine, problem):
    report = ba.calibrate(
        PROBLEMS[problem](), EXACT[engine], num_simulations=100, seed=4, progress=False, false_alarm=0.001
    )
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_geovi_is_calibrated_on_a_linear_field():
    """Where its approximation is exact; a field of 24 unknowns of which a fifth are not seen."""
    engine = ba.GeoVI(num_samples=4, num_iterations=3, num_draws=200)
    problem = fields.linear_problem(24)
    report = ba.calibrate(problem, engine, num_simulations=200, seed=4, progress=False, false_alarm=0.001)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_a_cluster_gives_the_same_report():
    options = {"num_simulations": 80, "seed": 4, "progress": False, "chunk": 20}
    engine = ba.NUTS(num_chains=2, num_warmup=200, num_draws=100)
    alone = ba.calibrate(planted.problem(), engine, **options)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        spread = ba.calibrate(planted.problem(), engine, client=client, **options)
    assert spread.checks.drop(columns="seconds", errors="ignore").equals(
        alone.checks.drop(columns="seconds", errors="ignore")
    )
    assert spread.summary().equals(alone.summary())


@pytest.mark.slow
def test_the_bias_of_unadjusted_mclmc_is_found_where_its_steps_are_long():
    """By the quantities that see all parameters at once; each marginal for itself is still nearly right."""

    def report(energy_variance):
        engine = ba.MCLMC(num_chains=2, num_warmup=1000, num_draws=500, energy_variance=energy_variance)
        return ba.calibrate(planted.problem(), engine, num_simulations=200, seed=4, progress=False)

    assert report(5e-4).verdict == "pass"
    coarse = report(0.5)
    assert coarse.verdict == "fail"
    assert not coarse.checks.loc["hpd", "passed"]
    assert (coarse.summary()["spread"] > 1).all()
