"""The XMM-Newton spectrum of NGC 7793 ULX-4, absorbed power law and black body, by NUTS, beside jaxspec.

Dupourqué et al. (2024): 0.3 to 12 keV, 110 groups, 11,163 counts; jaxspec's published priors, cross-sections tbabs with the
abundances wilm. Four chains of 500 draws after 500 of warm-up, double precision, the processor's seconds on one core. jaxspec
0.4.1 runs in an environment of its own, whose interpreter the environment variable JAXSPEC_PYTHON names, with NumPyro's NUTS
by its own settings and, as ours, with a dense mass matrix; one chain after the other. Each program runs twice, in turn; the
second run, which compiles nothing, is counted, warm-up included. Effective samples are the least of the parameters', by one
formula for all. With the background, jaxspec samples a rate for each group, here with our Gamma prior in place of its own,
which counts the background twice; ours integrates the rates out. `shift` is the difference of posterior means from the last
row's that is largest in Monte Carlo errors, in standard deviations; `chance` is three of those errors.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import arviz_base
import arviz_stats
import numpy as np

import bayesastro as ba
from bayesastro.datasets.xray_spectra import XraySpectrum, read_cross_sections, read_xray_spectrum
from bayesastro.models.spectra import xray
from bayesastro.models.spectra.xray_background import BackgroundKind, background_level
from benchmarks.data_folder import data_folder

__all__ = ["run"]

LOW, HIGH, CHAINS, WARMUP, DRAWS = 0.3, 12.0, 4, 500, 500

NAMES = {
    "nH": "spectrum.tbabs_1.nh",
    "powerlaw_photon_index": "spectrum.powerlaw_1.alpha",
    "powerlaw_norm": "spectrum.powerlaw_1.norm",
    "blackbody_kT": "spectrum.blackbodyrad_1.kT",
    "blackbody_norm": "spectrum.blackbodyrad_1.norm",
}
"""Our names and jaxspec's."""

PEER = """
import json, sys, time
import numpyro
numpyro.enable_x64()
numpyro.set_platform("cpu")
import jax, numpy as np, numpyro.distributions as dist
import jaxspec.model.multiplicative as multiplicative
from astropy.io import fits
from jaxspec.data import ObsConfiguration
from jaxspec.fit import MCMCFitter
from jaxspec.model.additive import Blackbodyrad, Powerlaw
from jaxspec.model.background import BackgroundWithError
from numpyro.infer import MCMC, NUTS

folder, low, high, chains, warmup, draws, levels, out = json.loads(sys.argv[1])

def table(name):  # which it would fetch from the network
    columns = fits.open(f"{folder}/{name}.gz")[1].data
    return np.asarray(columns["ENERGY"], float), np.asarray(columns["SIGMA"], float)

multiplicative._load_xsect = table
prior = {
    "spectrum.powerlaw_1.alpha": dist.Uniform(0, 5),
    "spectrum.powerlaw_1.norm": dist.LogUniform(1e-5, 1e-2),
    "spectrum.blackbodyrad_1.kT": dist.Uniform(0, 5),
    "spectrum.blackbodyrad_1.norm": dist.LogUniform(1e-2, 1e2),
    "spectrum.tbabs_1.nh": dist.Uniform(0, 1),
}
settings = {}
if levels is not None:
    prior["background.countrate[data]"] = dist.Gamma(1.0, 1.0 / np.array(levels))
    settings["background_model"] = BackgroundWithError()
observation = ObsConfiguration.from_pha_file(f"{folder}/PN_spectrum_grp20.fits.gz", low_energy=low, high_energy=high)
fitter = MCMCFitter(multiplicative.Tbabs() * (Powerlaw() + Blackbodyrad()), prior, observation, **settings)
samplers = {
    dense: MCMC(NUTS(fitter.transformed_numpyro_model, dense_mass=dense), num_warmup=warmup, num_samples=draws,
                num_chains=chains, chain_method="sequential", progress_bar=False)
    for dense in (False, True)
}
for line in sys.stdin:
    seed, dense = json.loads(line)
    began = time.process_time()
    samplers[dense].run(jax.random.PRNGKey(seed))
    samples = jax.block_until_ready(samplers[dense].get_samples(group_by_chain=True))
    seconds = time.process_time() - began
    np.savez(out, **{name: np.asarray(v) for name, v in samples.items() if v.ndim == 2})
    print("seconds", seconds, flush=True)
"""


class Peer:
    """jaxspec in a process of its own."""

    def __init__(self, levels: np.ndarray | None) -> None:
        interpreter = os.environ.get("JAXSPEC_PYTHON")
        if interpreter is None:
            raise SystemExit(
                "The benchmark `xray` needs jaxspec: python -m venv jaxspec && jaxspec/bin/pip install jaxspec==0.4.1, and "
                "the environment variable JAXSPEC_PYTHON set to jaxspec/bin/python."
            )
        self.out = Path(tempfile.mkdtemp()) / "draws.npz"
        given = [None if levels is None else levels.tolist(), str(self.out)]
        arguments = json.dumps([str(_folder()), LOW, HIGH, CHAINS, WARMUP, DRAWS, *given])
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([interpreter, "-c", PEER, arguments], **pipes)

    def run(self, seed: int, is_dense: bool) -> tuple[float, dict[str, np.ndarray]]:
        """Seconds, and draws by our names."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([seed, is_dense]), file=self.process.stdin, flush=True)
        answer = ""
        while not answer.startswith("seconds"):
            answer = self.process.stdout.readline()
            if not answer:
                raise SystemExit("jaxspec stopped; its message is above.")
        with np.load(self.out, allow_pickle=False) as draws:
            return float(answer.split()[1]), {ours: draws[theirs] for ours, theirs in NAMES.items()}

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _folder() -> Path:
    return data_folder() / "xray_ngc7793_ulx4_xmm"


def statistics(draws: dict[str, np.ndarray]) -> tuple[float, float, dict[str, np.ndarray]]:
    """Least effective sample size, greatest R̂, and mean, sd and effective sample size of each parameter."""
    table = arviz_stats.summary(arviz_base.from_dict({"posterior": draws}), round_to="none")
    values = {name: np.array([draws[name].mean(), draws[name].std(), table["ess_bulk"][name]], float) for name in draws}
    return float(min(v[2] for v in values.values())), float(table["r_hat"].max()), values


def compared(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> tuple[float, float]:
    """Largest difference of means in sds, and three standard errors of it."""
    shifts = {n: abs(ours[n][0] - theirs[n][0]) / theirs[n][1] for n in ours}
    errors = {n: 3 * np.sqrt(1 / ours[n][2] + 1 / theirs[n][2]) for n in ours}
    worst = max(shifts, key=lambda name: shifts[name] / errors[name])
    return shifts[worst], errors[worst]


def contest(spectrum: XraySpectrum, background: BackgroundKind) -> list[str]:
    """Rows of the table."""
    tables = read_cross_sections(_folder() / "xsect_tbabs_wilm.fits.gz", abundances="wilm")
    problem = xray.build(spectrum, tables, components=("powerlaw", "blackbody"), background=background)
    level = background_level(spectrum) if background != "none" else None
    engine = ba.NUTS(num_chains=CHAINS, num_warmup=WARMUP, num_draws=DRAWS, mass_matrix="dense")
    peer, found = Peer(level), {}
    for repeat in range(2):
        began = time.process_time()
        result = ba.fit(problem, engine, seed=repeat, progress=False)
        seconds = time.process_time() - began
        draws = {name: np.asarray(result["posterior"][name]) for name in NAMES}
        found["bayesastro"] = (seconds, *statistics(draws))
        for label, is_dense in (("jaxspec", False), ("jaxspec, dense", True)):
            seconds, draws = peer.run(repeat, is_dense)
            found[label] = (seconds, *statistics(draws))
    peer.stop()
    rows = []
    for name, (seconds, ess, r_hat, values) in found.items():
        means = "; ".join(f"{n} {mean:.4g} ± {sd:.2g}" for n, (mean, sd, _) in values.items())
        shift, chance = compared(values, found["jaxspec, dense"][3])
        agreement = " | " if name == "jaxspec, dense" else f"{shift:.3f} | {chance:.3f}"
        numbers = f"{seconds:.1f} | {ess:.0f} | {r_hat:.4f} | {ess / seconds:.1f}"
        rows.append(f"| {name} | {background} | {numbers} | {agreement} | {means} |")
        print(rows[-1], flush=True)
    return rows


def run() -> str:
    """The table, in Markdown."""
    spectrum = read_xray_spectrum(_folder() / "PN_spectrum_grp20.fits.gz", low=LOW, high=HIGH)
    lines = [
        "| program | background | seconds | effective samples | R̂ | per second | shift | chance | means and sds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for background in ("none", "marginal"):
        lines += contest(spectrum, background)
    return "\n".join(lines)
