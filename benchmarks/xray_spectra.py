"""The XMM-Newton spectrum of NGC 7793 ULX-4, absorbed power law and black body, by NUTS, beside jaxspec.

Dupourqué et al. (2024): 0.3 to 12 keV, 110 groups, 11,163 counts; jaxspec's published priors, cross-sections tbabs with the
abundances wilm. Four chains of 500 draws after 500 of warm-up, double precision, the processor's seconds on one core. jaxspec
runs in an environment of its own, with NumPyro's NUTS by its own settings and, as ours, with a dense mass matrix; one chain
after the other. Each program runs twice; the second run, which compiles nothing, is counted, warm-up included. Effective
samples are the least of the parameters', by one formula for all. With the background, jaxspec samples a rate for each group,
here with our Gamma prior in place of its own, which counts the background twice; ours integrates the rates out. `shift` is the
difference of posterior means from the last row's that is largest in Monte Carlo errors, in standard deviations; `chance` is
three of those errors.
"""

import time
from pathlib import Path

import arviz_base
import arviz_stats
import numpy as np

import bayesastro as ba
from bayesastro.datasets.xray_spectra import XraySpectrum, read_cross_sections, read_xray_spectrum
from bayesastro.models.spectra import xray
from bayesastro.models.spectra.xray_background import BackgroundKind, background_level
from benchmarks.data_folder import data_folder
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report

__all__ = ["run"]

JAXSPEC = Peer("jaxspec", "jaxspec")

LOW, HIGH, CHAINS, WARMUP, DRAWS = 0.3, 12.0, 4, 500, 500

NAMES = {
    "nH": "spectrum.tbabs_1.nh",
    "powerlaw_photon_index": "spectrum.powerlaw_1.alpha",
    "powerlaw_norm": "spectrum.powerlaw_1.norm",
    "blackbody_kT": "spectrum.blackbodyrad_1.kT",
    "blackbody_norm": "spectrum.blackbodyrad_1.norm",
}
"""Our names and jaxspec's."""

Found = tuple[float, float, float, dict[str, np.ndarray]]
"""Seconds, least effective sample size, greatest R̂; and of each parameter mean, sd and effective sample size."""


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


def jaxspecs(level: np.ndarray | None, is_dense: bool) -> Found:
    """jaxspec's second run in its environment; without levels there is no background."""
    given = {"folder": str(_folder()), "low": LOW, "high": HIGH, "is_dense": is_dense}
    numbers = {"num_chains": CHAINS, "num_warmup": WARMUP, "num_draws": DRAWS}
    levels = np.zeros(0) if level is None else np.asarray(level)
    draws = JAXSPEC.run("jaxspec_nuts.py", **given, **numbers, levels=levels)
    return float(draws["seconds"]), *statistics({ours: draws[theirs] for ours, theirs in NAMES.items()})


def ours(spectrum: XraySpectrum, background: BackgroundKind) -> Found:
    """Our second run."""
    tables = read_cross_sections(_folder() / "xsect_tbabs_wilm.fits.gz", abundances="wilm")
    problem = xray.build(spectrum, tables, components=("powerlaw", "blackbody"), background=background)
    engine = ba.NUTS(num_chains=CHAINS, num_warmup=WARMUP, num_draws=DRAWS, mass_matrix="dense")
    ba.fit(problem, engine, seed=0, progress=False)
    began = time.process_time()
    result = ba.fit(problem, engine, seed=1, progress=False)
    seconds = time.process_time() - began
    return seconds, *statistics({name: np.asarray(result["posterior"][name]) for name in NAMES})


def contest(spectrum: XraySpectrum, background: BackgroundKind) -> tuple[list[str], list[Ratio]]:
    """Rows of the table, and ratios."""
    level = background_level(spectrum) if background != "none" else None
    mine = ours(spectrum, background)
    found: dict[str, Found | Failure] = {"bayesastro": mine}
    ratios = []
    for label, is_dense in (("jaxspec", False), ("jaxspec, dense", True)):
        found[label] = theirs = JAXSPEC.measured(lambda dense=is_dense: jaxspecs(level, dense))
        ratios.append(
            Ratio(
                quantity=f"X-ray spectrum, background {background}, NUTS: effective samples a second",
                ours=mine[1] / mine[0],
                peer=f"{JAXSPEC}{', dense' if is_dense else ''}",
                theirs=theirs if isinstance(theirs, Failure) else theirs[1] / theirs[0],
            )
        )
    rows, reference = [], found["jaxspec, dense"]
    for name, figures in found.items():
        if isinstance(figures, Failure):
            rows.append(f"| {name} | {background} | {figures} | | | | | | |")
            continue
        seconds, ess, r_hat, values = figures
        means = "; ".join(f"{n} {mean:.4g} ± {sd:.2g}" for n, (mean, sd, _) in values.items())
        agreement = " | "
        if name != "jaxspec, dense" and not isinstance(reference, Failure):
            agreement = " | ".join(f"{figure:.3f}" for figure in compared(values, reference[3]))
        numbers = f"{seconds:.1f} | {ess:.0f} | {r_hat:.4f} | {ess / seconds:.1f}"
        rows.append(f"| {name} | {background} | {numbers} | {agreement} | {means} |")
    print("\n".join(rows), flush=True)
    return rows, ratios


def run() -> Report:
    """The table, and ratios to jaxspec."""
    spectrum = read_xray_spectrum(_folder() / "PN_spectrum_grp20.fits.gz", low=LOW, high=HIGH)
    lines = [
        "| program | background | seconds | effective samples | R̂ | per second | shift | chance | means and sds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ratios: list[Ratio] = []
    for background in ("none", "marginal"):
        rows, more = contest(spectrum, background)
        lines, ratios = lines + rows, ratios + more
    return Report("\n".join(lines), tuple(ratios))
