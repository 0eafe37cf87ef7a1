"""NUTS of jaxspec on the spectrum of `benchmarks/xray_spectra.py`; runs in the environment `jaxspec`.

Given: `folder` of the data, `low` and `high` in keV, numbers of chains, warm-up and draws, `levels` of the background's
prior (empty: no background), `is_dense`. Found: the draws, and the processor's `seconds` of the second of two runs.
"""

import sys
import time

import jax
import jaxspec.model.multiplicative as multiplicative
import numpy as np
import numpyro
import numpyro.distributions as dist
from astropy.io import fits
from jaxspec.data import ObsConfiguration
from jaxspec.fit import MCMCFitter
from jaxspec.model.additive import Blackbodyrad, Powerlaw
from jaxspec.model.background import BackgroundWithError
from numpyro.infer import MCMC, NUTS

PRIOR = {
    "spectrum.powerlaw_1.alpha": dist.Uniform(0, 5),
    "spectrum.powerlaw_1.norm": dist.LogUniform(1e-5, 1e-2),
    "spectrum.blackbodyrad_1.kT": dist.Uniform(0, 5),
    "spectrum.blackbodyrad_1.norm": dist.LogUniform(1e-2, 1e2),
    "spectrum.tbabs_1.nh": dist.Uniform(0, 1),
}


def main(inwards: str, outwards: str) -> None:
    numpyro.enable_x64()
    numpyro.set_platform("cpu")
    with np.load(inwards, allow_pickle=False) as file:
        given = {name: array[()] for name, array in file.items()}
    folder, levels = given["folder"], given["levels"]

    def table(name: str) -> tuple[np.ndarray, np.ndarray]:
        columns = fits.open(f"{folder}/{name}.gz")[1].data
        return np.asarray(columns["ENERGY"], float), np.asarray(columns["SIGMA"], float)

    multiplicative._load_xsect = table  # it would fetch the table from the network
    prior, settings = dict(PRIOR), {}
    if levels.size:
        prior["background.countrate[data]"] = dist.Gamma(1.0, 1.0 / levels)
        settings["background_model"] = BackgroundWithError()
    observation = ObsConfiguration.from_pha_file(
        f"{folder}/PN_spectrum_grp20.fits.gz", low_energy=float(given["low"]), high_energy=float(given["high"])
    )
    fitter = MCMCFitter(multiplicative.Tbabs() * (Powerlaw() + Blackbodyrad()), prior, observation, **settings)

    @jax.jit
    def chains(key: jax.Array) -> dict[str, jax.Array]:
        """Within `jax.jit`, for `MCMC` called as such compiles anew in every run."""
        sampler = MCMC(
            NUTS(fitter.transformed_numpyro_model, dense_mass=bool(given["is_dense"])),
            num_warmup=int(given["num_warmup"]),
            num_samples=int(given["num_draws"]),
            num_chains=int(given["num_chains"]),
            chain_method="sequential",
            progress_bar=False,
        )
        sampler.run(key)
        return {name: values for name, values in sampler.get_samples(group_by_chain=True).items() if values.ndim == 2}

    for seed in range(2):
        began = time.process_time()
        draws = jax.tree.map(np.asarray, chains(jax.random.PRNGKey(seed)))
        seconds = time.process_time() - began
    np.savez(outwards, seconds=seconds, **draws)


if __name__ == "__main__":
    main(*sys.argv[1:])
