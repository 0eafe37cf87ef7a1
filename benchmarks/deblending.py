"""The simulated SPIRE tile of XID+, 51 sources in three maps, beside the published program written straight in NumPyro.

Hurley et al. (2017): 159 unknowns (fluxes, backgrounds, confusion noises), 1,542 pixels, flat fluxes. Four chains of 1,000 draws
after 1,000 of warm-up (MCLMC: 4,000 steps), double precision, the processor's seconds on one core. The peer is NumPyro's NUTS
by its own settings, its chains one after the other or as one vectorised call; the density is the same. Each program runs
twice, in turn; the second run, which compiles nothing, is counted, warm-up included. Effective
samples are the least of the 159 unknowns', by one formula for all; `gradients` are those of all chains, warm-up included, for
each of these effective samples. `shift` is the difference of posterior means from the last row's that is largest in Monte Carlo
errors, in standard deviations; `chance` is four of those errors, of which one in a hundred comparisons of 159 means has a larger one.
"""

import time
from collections.abc import Callable, Mapping

import arviz_base
import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS

import bayesastro as ba
from bayesastro.datasets import ConfusedMap, read_xidplus_tile
from bayesastro.models.spectra import deblending
from benchmarks.data_folder import data_folder
from benchmarks.peers import Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]

CHAINS, WARMUP, DRAWS = 4, 1000, 1000

Draws = dict[str, np.ndarray]


def published(maps: tuple[ConfusedMap, ...]) -> None:
    """XID+'s `spire_model`, its names and plates."""
    lower = np.stack([m.flux_lower for m in maps], axis=1)
    upper = np.stack([m.flux_upper for m in maps], axis=1)
    mean, spread = np.array([m.background for m in maps]).T
    with numpyro.plate("bands", len(maps)):
        sigma_conf = numpyro.sample("sigma_conf", dist.HalfCauchy(0.5))
        bkg = numpyro.sample("bkg", dist.Normal(mean, spread))
        with numpyro.plate("nsrc", len(lower)):
            src_f = numpyro.sample("src_f", dist.Uniform(lower, upper))
    for i, m in enumerate(maps):
        seen = src_f[:, i][m.source] * m.beam
        model = jax.ops.segment_sum(seen, m.pixel, m.noise.size) + bkg[i]
        noise = jnp.sqrt(m.noise**2 + sigma_conf[i] ** 2)
        with numpyro.plate(f"pixels_{i}", m.noise.size):
            numpyro.sample(f"obs_{i}", dist.Normal(model, noise), obs=m.brightness)


class Published:
    """The published program with NumPyro's sampler, within `jax.jit`: `MCMC` called as such compiles anew in every run."""

    def __init__(self, maps: Mapping[str, ConfusedMap], method: str) -> None:
        settings = {"num_warmup": WARMUP, "num_samples": DRAWS, "num_chains": CHAINS, "chain_method": method}
        data, fields = tuple(maps.values()), ("num_steps",)

        def chains(key: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
            mcmc = MCMC(NUTS(published), progress_bar=False, **settings)
            mcmc.warmup(key, data, extra_fields=fields, collect_warmup=True)
            steps = mcmc.get_extra_fields()["num_steps"].sum()
            mcmc.run(mcmc.post_warmup_state.rng_key, data, extra_fields=fields)
            return mcmc.get_samples(group_by_chain=True), steps + mcmc.get_extra_fields()["num_steps"].sum()

        self.chains = jax.jit(chains)

    def __call__(self, seed: int) -> tuple[Draws, int]:
        """Draws by our names, and gradients."""
        with jax.enable_x64(True):
            draws, steps = jax.tree.map(np.asarray, self.chains(jax.random.PRNGKey(seed)))
        return {
            "flux": np.swapaxes(draws["src_f"], -1, -2),
            "background": draws["bkg"],
            "confusion": draws["sigma_conf"],
        }, int(steps)


def ours(maps: Mapping[str, ConfusedMap], engine: ba.NUTS | ba.MCLMC) -> Callable[[int], tuple[Draws, int]]:
    """A run of ours: draws and gradients."""
    problem = deblending.build(maps)

    def fit(seed: int) -> tuple[Draws, int]:
        result = ba.fit(problem, engine, seed=seed, progress=False)
        posterior = result["posterior"]
        names = ("flux", "background", "confusion")
        return {name: posterior[name].values for name in names}, int(result.attrs["num_gradients"])

    return fit


def run() -> Report:
    """The table, and ratios to NumPyro's vectorised chains."""
    maps = read_xidplus_tile(data_folder() / "xidplus" / "xid_spire_tile.npz")
    nuts = {"num_chains": CHAINS, "num_warmup": WARMUP, "num_draws": DRAWS}
    contestants = {
        "bayesastro, NUTS": ours(maps, ba.NUTS(**nuts)),
        "bayesastro, NUTS, acceptance 0.9": ours(maps, ba.NUTS(**nuts, target_accept=0.9)),
        "bayesastro, MCLMC": ours(maps, ba.MCLMC(num_chains=CHAINS, num_warmup=4 * WARMUP, num_draws=DRAWS)),
        "bayesastro, MCLMC, adjusted": ours(
            maps, ba.MCLMC(num_chains=CHAINS, num_warmup=WARMUP, num_draws=DRAWS, adjusted=True)
        ),
        "NumPyro, vectorised": Published(maps, "vectorized"),
        "NumPyro": Published(maps, "sequential"),
    }
    found = {}
    for repeat in range(2):
        for name, contestant in contestants.items():
            began = time.process_time()
            draws, gradients = contestant(repeat)
            seconds = time.process_time() - began
            table = arviz_stats.summary(arviz_base.from_dict({"posterior": draws}), round_to="none")
            found[name] = (seconds, gradients, table.astype(float))
            print(name, repeat, round(seconds, 1), gradients, table["ess_bulk"].min(), flush=True)
    lines = [
        "| program | seconds | effective samples | R̂ | per second | gradients | shift | chance |",
        "|---|---|---|---|---|---|---|---|",
    ]
    reference = found["NumPyro"][2]
    for name, (seconds, gradients, table) in found.items():
        ess, r_hat = table["ess_bulk"].min(), table["r_hat"].max()
        shift = (table["mean"] - reference["mean"]).abs() / reference["sd"]
        error = 4 * np.sqrt(1 / table["ess_bulk"] + 1 / reference["ess_bulk"])
        worst = (shift / error).idxmax()
        agreement = " | " if name == "NumPyro" else f"{shift[worst]:.3f} | {error[worst]:.3f}"
        numbers = f"{seconds:.1f} | {ess:.0f} | {r_hat:.4f} | {ess / seconds:.1f} | {gradients / ess:.0f}"
        lines.append(f"| {name} | {numbers} | {agreement} |")
        print(lines[-1], flush=True)
    seconds, gradients, table = found["NumPyro, vectorised"]
    theirs = table["ess_bulk"].min()
    ratios = []
    for name in ("bayesastro, NUTS", "bayesastro, NUTS, acceptance 0.9", "bayesastro, MCLMC, adjusted"):
        own_seconds, own_gradients, own_table = found[name]
        ess, what = own_table["ess_bulk"].min(), f"Deblending, {name.removeprefix('bayesastro, ')}: effective samples"
        peer = f"{Peer('numpyro')}, NUTS, vectorised"
        ratios += [
            Ratio(quantity=f"{what} a second", ours=ess / own_seconds, peer=peer, theirs=theirs / seconds),
            Ratio(
                quantity=f"{what} per 1000 gradients",
                ours=1e3 * ess / own_gradients,
                peer=peer,
                theirs=1e3 * theirs / gradients,
            ),
        ]
    return Report("\n".join(lines), tuple(ratios))
