"""Thinning of counts: independent halves of the right means, and a score that is highest for the truth."""

import numpy as np
import pytest
from matrix import Z
from scipy import stats

from bayesastro.thinning import thinned, thinned_score


def test_parts_are_independent_poisson_counts():
    mean, p, num = 4.0, 0.7, 200_000
    counts = np.random.default_rng(1).poisson(mean, num)
    kept, held_out = thinned(counts, p, seed=3)
    np.testing.assert_array_equal(kept + held_out, counts)
    for part, share in ((kept, p), (held_out, 1 - p)):
        rate = mean * share
        assert abs(part.mean() - rate) < Z * np.sqrt(rate / num)
        # A Poisson law's sample variance has the variance (2 λ² + λ)/n.
        assert abs(part.var() - rate) < Z * np.sqrt((2 * rate**2 + rate) / num)
    assert abs(np.corrcoef(kept, held_out)[0, 1]) < Z / np.sqrt(num)
    again, _ = thinned(counts, p, seed=3)
    np.testing.assert_array_equal(again, kept)


def test_score_is_the_predictive_probability_and_prefers_the_truth():
    rng = np.random.default_rng(2)
    truth = rng.gamma(2.0, 2.0, (40, 50))
    kept, held_out = thinned(rng.poisson(truth), 0.8, seed=1)
    draws = 0.8 * truth * np.exp(0.2 * rng.normal(size=(6, 1, 1)))
    by_hand = np.log(np.mean([stats.poisson(0.25 * d).pmf(held_out) for d in draws], axis=0))
    np.testing.assert_allclose(thinned_score(held_out, draws, 0.8), by_hand)
    scores = [thinned_score(held_out, 0.8 * mean, 0.8).sum() for mean in (truth, 1.2 * truth, 0 * truth + 4.0)]
    assert scores[0] > max(scores[1:])
    # The counts that were kept are no estimate of the mean: with them the score overfits.
    assert scores[0] > thinned_score(held_out, np.maximum(kept, 0.1), 0.8).sum()


def test_wrong_counts_are_refused():
    with pytest.raises(ValueError, match="whole numbers, not below 0"):
        thinned([1.5], 0.5, seed=1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        thinned([1], 1.0, seed=1)
    with pytest.raises(ValueError, match="does not fit `held_out`"):
        thinned_score([1, 2], np.ones(3), 0.5)
    with pytest.raises(ValueError, match="positive everywhere"):
        thinned_score([1, 2], np.zeros(2), 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        thinned_score([1, 2], np.ones(2), 0.0)
