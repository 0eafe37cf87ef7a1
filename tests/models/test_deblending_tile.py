"""The published tile of XID+: 51 sources in three maps, by gradients and by exact conditionals."""

import arviz_stats
import numpy as np
import pytest
from confused import dense
from scipy import special

import bayesastro as ba
from bayesastro.datasets import read_emulator_weights, read_xidplus_tile
from bayesastro.models.spectra import deblending, deblending_sed
from bayesastro.models.spectra.blended import blends, determination
from bayesastro.simulators.spectra.sed_emulator import cigale_emulator

TILE = "xidplus/xid_spire_tile.npz"


def cut_normal(rng, mean, sd, low, high):
    """A draw of a normal between bounds, by its distribution function on the side where that is exact."""
    a, b = (low - mean) / sd, (high - mean) / sd
    if a > 0:
        return mean - sd * special.ndtri(rng.uniform(special.ndtr(-b), special.ndtr(-a)))
    return mean + sd * special.ndtri(rng.uniform(special.ndtr(a), special.ndtr(b)))


def gibbs(one, num, rng, scale=0.5):
    """Fluxes, background and confusion noise of one band: each flux and the background from its exact conditional, by turns.

    Given the noise the model is linear and Gaussian, with bounds; the noise is drawn by slices of its logarithm.
    """
    size = one.source_x.size
    design = np.column_stack([dense(one), np.ones(one.noise.size)])
    low, high = np.append(one.flux_lower, -np.inf), np.append(one.flux_upper, np.inf)
    prior = np.append(np.zeros(size), 1 / one.background[1] ** 2)
    pull = np.append(np.zeros(size), one.background[0] / one.background[1] ** 2)
    theta, log_noise = np.append(np.full(size, 3.0), -5.0), 0.0
    draws = np.empty((num, size + 2))

    def density(log_sigma, squares):
        variance = one.noise**2 + np.exp(2 * log_sigma)
        prior = -np.log1p(np.exp(2 * log_sigma) / scale**2) + log_sigma
        return prior - 0.5 * (squares / variance + np.log(variance)).sum()

    for i in range(num):
        weight = 1 / (one.noise**2 + np.exp(2 * log_noise))
        precision = (design.T * weight) @ design + np.diag(prior)
        target = design.T @ (weight * one.brightness) + pull
        for _ in range(2):
            for j in range(size + 1):
                own = precision[j, j]
                mean = (target[j] - precision[j] @ theta) / own + theta[j]
                theta[j] = cut_normal(rng, mean, own**-0.5, low[j], high[j])
        squares = (one.brightness - design @ theta) ** 2
        log_noise = slice_of(rng, log_noise, lambda x, squares=squares: density(x, squares))
        draws[i] = np.append(theta, np.exp(log_noise))
    return draws


def slice_of(rng, x, log_density, width=1.0):
    """Neal 2003, Ann. Stat. 31, 705: stepping out, and shrinking."""
    level = log_density(x) - rng.exponential()
    left = x - width * rng.uniform()
    right = left + width
    while log_density(left) > level:
        left -= width
    while log_density(right) > level:
        right += width
    while True:
        proposal = rng.uniform(left, right)
        if log_density(proposal) > level:
            return proposal
        left, right = (proposal, right) if proposal < x else (left, proposal)


@pytest.fixture(scope="module")
def tile(published_file):
    return read_xidplus_tile(published_file(TILE))


@pytest.fixture(scope="module")
def by_nuts(tile):
    engine = ba.NUTS(num_chains=4, num_warmup=1000, num_draws=1000, target_accept=0.9)
    return ba.fit(deblending.build(tile), engine, seed=3, progress=False)


@pytest.mark.slow
def test_all_159_unknowns_converge(by_nuts):
    table = arviz_stats.summary(by_nuts, round_to="none")
    assert len(table) == 159
    assert table["r_hat"].max() < 1.01
    assert table["ess_bulk"].min() > 400
    assert not np.any(by_nuts["sample_stats"]["diverging"])
    # many sources are not seen: the bound at zero is physical, and the finding says to report limits
    assert {finding.id for finding in ba.diagnose(by_nuts)} == {"prior_edge"}


@pytest.mark.slow
def test_galaxies_of_the_tile_converge(tile, published_file):
    """The prior of spectral energy distributions: 520 numbers, two sources at one place among them."""
    layers = read_emulator_weights(published_file("xidplus/cigale_emulator.npz"))
    problem = deblending_sed.build(tile, cigale_emulator(layers.weights, layers.biases), redshift=(1.5, 1.0))
    result = ba.fit(problem, ba.NUTS(num_warmup=1000, num_draws=3000, max_tree_depth=8), seed=3, progress=False)
    table = arviz_stats.summary(result, round_to="none")
    assert len(table) == 520
    assert table["r_hat"].max() < 1.01
    assert table["ess_bulk"].min() > 400
    assert {finding.id for finding in ba.diagnose(result)} == {"prior_edge"}


@pytest.mark.slow
@pytest.mark.parametrize("band", [0, 1, 2])
def test_exact_conditionals_give_the_same_posterior(tile, by_nuts, band):
    """A Gibbs sampler in NumPy: means of 53 unknowns within five of their Monte Carlo errors, and their sds."""
    one = list(tile.values())[band]
    chains = np.stack([gibbs(one, 6_500, np.random.default_rng(seed))[500:] for seed in range(2)])
    posterior = by_nuts["posterior"]
    ours = np.concatenate(
        [
            posterior["flux"].values[:, :, band],
            *(posterior[n].values[:, :, [band]] for n in ("background", "confusion")),
        ],
        axis=-1,
    )
    errors = []
    for draws in (chains, ours):
        mean_ess = np.array([arviz_stats.ess(draws[..., k], method="mean") for k in range(53)])
        sd_ess = np.array([arviz_stats.ess(draws[..., k], method="sd") for k in range(53)])
        errors.append((draws.mean((0, 1)), draws.std((0, 1)), mean_ess, sd_ess))
    (mean, sd, num, num_sd), (mean_ours, sd_ours, num_ours, num_sd_ours) = errors
    assert num.min() > 400
    z = (mean_ours - mean) / (sd * np.sqrt(1 / num + 1 / num_ours))
    assert np.abs(z).max() < 5.0
    # sd / √(2 n) is the error of a normal's sd; these laws are cut, not heavier
    z = np.log(sd_ours / sd) / np.sqrt(0.5 / num_sd + 0.5 / num_sd_ours)
    assert np.abs(z).max() < 6.0


@pytest.mark.slow
def test_mclmc_gives_the_same_posterior_for_fewer_gradients(tile, by_nuts):
    other = ba.fit(deblending.build(tile), ba.MCLMC(num_warmup=4000, num_draws=1000), seed=4, progress=False)
    tables = [arviz_stats.summary(result, round_to="none") for result in (by_nuts, other)]
    shift = (tables[0]["mean"] - tables[1]["mean"]).abs() / tables[0]["sd"]
    error = (1 / tables[0]["ess_bulk"] + 1 / tables[1]["ess_bulk"]) ** 0.5
    assert (shift < 5 * error + 0.05).all()
    cost = [r.attrs["num_gradients"] / t["ess_bulk"].min() for r, t in zip((by_nuts, other), tables, strict=True)]
    assert cost[1] < cost[0]


@pytest.mark.slow
def test_the_tile_is_crowded_and_its_residuals_are_noise(tile, by_nuts):
    flux = by_nuts["posterior"]["flux"].values
    pairs = blends(flux, tile, least=0.5)
    assert len(pairs) > 10
    assert (pairs.correlation < 0).all()
    assert (pairs.separation < 3.0).all()  # the beam's width at half its height, in each band
    assert (pairs.sd_sum < np.maximum(pairs.sd_first, pairs.sd_second)).all()
    every = determination(flux, tile)
    assert every[every.band == "plw500"].of_prior.mean() > every[every.band == "psw250"].of_prior.mean()
    mean = {
        name: by_nuts["posterior"][name].mean(("chain", "draw")).values for name in ("flux", "background", "confusion")
    }
    for i, one in enumerate(tile.values()):
        residual = one.brightness - dense(one) @ mean["flux"][i] - mean["background"][i]
        pull = residual / np.hypot(one.noise, mean["confusion"][i])
        assert abs(pull.std() - 1.0) < 0.15
        assert np.abs(pull).max() < 5.0
