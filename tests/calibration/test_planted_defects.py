"""Each planted defect is found by the checks that must find it and by no other; a right posterior passes."""

import numpy as np
import pandas as pd
import planted
import pytest
from scipy.stats import binom

from bayesastro.calibration.checks import MEANINGS, assess

CHECKS = ("ranks", "coverage", "bias", "log_likelihood", "hpd", "tarp", "tarp_data")
POWER = pd.DataFrame.from_dict(
    {
        "none": (0, 0, 0, 0, 0, 0, 0),
        "shifted": (1, 0.2, 1, 0.9, 0.9, 0.1, 0.15),
        "half width": (1, 1, 0.15, 1, 1, 1, 1),
        "double width": (1, 1, 0, 1, 1, 1, 1),
        "wrong correlation": (0, 0, 0, 1, 1, 0.85, 0),
        "prior returned": (0, 0, 0, 1, 1, 0, 1),
        "half the data": (0, 0, 0, 1, 1, 0, 1),
        "cut edge": (1, 1, 1, 0.15, 0.35, 1, 0.9),
        "parameters swapped": (1, 1, 0.5, 1, 1, 1, 1),
    },
    orient="index",
    columns=list(CHECKS),
)
"""Which check finds which defect at 300 simulations: the fraction of times, at a false-alarm rate of 1 % for all."""

NUM_REPEATS = 40

TOLERANCE = 0.05
"""Of the powers 0 and 1; of those between three times as much."""


def failed(defect, seed, num_simulations=300, false_alarm=0.01):
    checks = assess(planted.pool_of(defect, num_simulations, seed), false_alarm=false_alarm, seed=seed).checks
    return ~checks["passed"].astype(bool)


def test_the_table_is_of_all_defects_and_all_checks():
    assert tuple(POWER.index) == planted.DEFECTS
    assert {"fits", *CHECKS} == set(MEANINGS)


def test_every_defect_is_found_by_a_check_that_never_misses_it():
    assert (POWER.drop("none") == 1).any(axis=1).all()


@pytest.mark.parametrize("defect", planted.DEFECTS)
def test_a_defect_is_found(defect):
    found = failed(defect, seed=1)
    assert found[POWER.columns[POWER.loc[defect] == 1]].all()
    assert not found[POWER.columns[POWER.loc[defect] == 0]].any()


@pytest.mark.slow
@pytest.mark.parametrize("defect", planted.DEFECTS)
def test_power_of_every_check_for_every_defect(defect):
    """A right table fails here once in some 10⁴ times for each defect."""
    counts = sum(failed(defect, seed).astype(int) for seed in range(100, 100 + NUM_REPEATS))
    for check in CHECKS:
        power = POWER.loc[defect, check]
        tolerance = TOLERANCE if power in (0, 1) else 3 * TOLERANCE
        low = binom.ppf(1e-5, NUM_REPEATS, max(power - tolerance, 0.0))
        high = binom.ppf(1 - 1e-5, NUM_REPEATS, min(power + tolerance, 1.0))
        assert low <= counts[check] <= high, (check, counts[check] / NUM_REPEATS)


@pytest.mark.slow
def test_a_right_posterior_fails_at_the_stated_rate():
    """200 times at 5 %: from 1 to 24 alarms but once in 10⁴ times, were the rate 5 %."""
    alarms = sum(failed("none", seed, num_simulations=100, false_alarm=0.05).any() for seed in range(200))
    assert binom.ppf(5e-5, 200, 0.05) <= alarms <= binom.isf(5e-5, 200, 0.05)


@pytest.mark.slow
def test_few_and_unequal_numbers_of_draws_raise_no_alarms():
    """From 10 to 60 independent draws a fit, and parameters that are counts, with many ties."""
    alarms = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        pool = planted.pool_of("none", 100, seed, num_draws=60)
        pool.theta[:] = np.round(2 * pool.theta)
        missing = np.arange(61) > random.integers(10, 61, size=(100, 1))
        for array in (pool.theta, pool.coordinates, pool.log_likelihood, pool.log_density):
            array[missing] = np.nan
        alarms += (~assess(pool, false_alarm=0.05, seed=seed).checks["passed"].astype(bool)).any()
    assert alarms <= binom.isf(1e-4, 60, 0.05)
