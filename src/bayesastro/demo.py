"""The demonstration: what dark energy do the newest distances and clocks ask for? Real data, two minutes to read."""

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesastro import plots
from bayesastro.datasets import cosmic_chronometers, desi_dr2_bao
from bayesastro.diagnostics import diagnose
from bayesastro.drive import fit
from bayesastro.inference.nuts import NUTS
from bayesastro.models.cosmology import bao, expansion
from bayesastro.precision import working_precision
from bayesastro.problem import Problem
from bayesastro.result import save, summary
from bayesastro.simulators.cosmology import Cosmology, bao_ratios, hubble_parameter

__all__ = ["LABELS", "run"]

LABELS = {
    "Omega_m": r"$\Omega_\mathrm{m}$",
    "hrd": r"$h\,r_\mathrm{d}$ [Mpc]",
    "H0": r"$H_0$ [km s$^{-1}$ Mpc$^{-1}$]",
    "r_d": r"$r_\mathrm{d}$ [Mpc]",
    "w0": r"$w_0$",
    "wa": r"$w_a$",
}

ENGINE = NUTS(num_draws=2000, target_accept=0.95, mass_matrix="dense")
"""Degenerate directions (dense) that bend at the edge of a prior (small steps)."""


def problems() -> dict[str, Problem]:
    """The three fits, by the name of their file."""
    return {
        "bao_lcdm": bao.build(),
        "joint_lcdm": expansion.build("lambda"),
        "joint_w0wa": expansion.build("w0wa"),
    }


def run(out: Path, *, seed: int, progress: bool = True, echo: Callable[[str], None] = print) -> dict[str, xr.DataTree]:
    """Fit flat ΛCDM and w₀w_aCDM to DESI DR2 distances and cosmic chronometers; write results and pictures.

    Parameters
    ----------
    out : Path
        Folder for ``bao_lcdm.nc``, ``joint_lcdm.nc``, ``joint_w0wa.nc``, ``corner.png``, ``dark_energy.png`` and
        ``distances.png``.
    seed : int
    progress : bool
    echo : callable
        Receives the report, line by line.

    Returns
    -------
    dict of str to DataTree
        The results by name.

    Raises
    ------
    OSError
        If the folder cannot be written to; said before anything runs.
    KeyboardInterrupt
        If a fit was interrupted; what was written before stays, and the fit's own file as it was.
    """
    _prepare(out)
    matplotlib.use("Agg")
    results = {}
    for name, problem in problems().items():
        results[name] = fit(problem, ENGINE, seed=seed, progress=progress)
        if results[name].attrs["status"] == "interrupted":
            raise KeyboardInterrupt
        save(results[name], out / f"{name}.nc")
        echo(f"\n{name}: {problem}\n\n{summary(results[name]).to_string()}\n\n{diagnose(results[name])}")
    pictures = {
        "corner.png": plots.corner(
            {"BAO + clocks, ΛCDM": results["joint_lcdm"], "BAO + clocks, w₀wₐCDM": results["joint_w0wa"]},
            ["Omega_m", "H0", "r_d"],
            labels=LABELS,
        ),
        "dark_energy.png": plots.corner(
            results["joint_w0wa"], ["w0", "wa"], labels=LABELS, truths={"w0": -1.0, "wa": 0.0}
        ),
        "distances.png": distances_figure(results),
    }
    for name, figure in pictures.items():
        _save_figure(figure, out / name)
    echo(f"\nWritten to {out}/: {', '.join([f'{n}.nc' for n in results] + list(pictures))}")
    return results


def _prepare(out: Path) -> None:
    """Make the folder and try to write into it: an unwritable one should fail now, not after the fits."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"The output folder `{out}` cannot be written to ({error.strerror}). Choose another with `--out`."
        ) from error


def _save_figure(figure: Figure, path: Path) -> None:
    beside = path.with_name(f".{path.name}")
    figure.savefig(beside, dpi=130, bbox_inches="tight", format="png")
    plt.close(figure)
    os.replace(beside, path)


def curves(result: xr.DataTree, z: np.ndarray, num_draws: int = 500) -> dict[str, np.ndarray]:
    """Distance ratios and expansion rate over redshift for draws of a posterior.

    Parameters
    ----------
    result : DataTree
        Of one of the joint fits.
    z : array, shape (n,)
    num_draws : int

    Returns
    -------
    dict of str to array, shape (num_draws, n)
        ``D_V/r_d``, ``D_M/r_d``, ``D_H/r_d`` and ``H`` [km/s/Mpc].
    """
    flat = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    chosen = np.linspace(0, flat.sizes["sample"] - 1, num_draws).astype(int)
    draw = {name: flat[name].values[chosen] for name in ("H0", "Omega_m", "r_d", "w0", "wa") if name in flat}
    with working_precision("double"):
        r_d = draw.pop("r_d")
        universes = jax.vmap(lambda p: Cosmology(**p))(draw)

        def of_kind(kind: int) -> np.ndarray:
            ratios = functools.partial(bao_ratios, jnp.asarray(z), jnp.full(z.shape, kind))
            return np.asarray(jax.jit(jax.vmap(ratios))(universes, r_d))

        H = np.asarray(jax.jit(jax.vmap(lambda c: hubble_parameter(z, c)))(universes))
        return {"D_V/r_d": of_kind(0), "D_M/r_d": of_kind(1), "D_H/r_d": of_kind(2), "H": H}


def distances_figure(results: dict[str, xr.DataTree]) -> Figure:
    """Distance–redshift and expansion-rate plots with posterior bands, data on top."""
    z = np.linspace(0.05, 2.5, 120)
    table, clocks = desi_dr2_bao(), cosmic_chronometers()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7.5, 8.5), sharex=True, constrained_layout=True)
    by_model = {name: curves(results[key], z) for name, key in (("ΛCDM", "joint_lcdm"), ("w₀wₐCDM", "joint_w0wa"))}
    for (model, lines), color, style in zip(by_model.items(), plots.COLORS, ("-", "--"), strict=False):
        for kind in ("D_M/r_d", "D_V/r_d", "D_H/r_d"):
            label = f"{model}, BAO + clocks" if kind == "D_M/r_d" else None
            plots.band(top, z, lines[kind] / np.sqrt(z), color=color, label=label, linestyle=style)
        plots.band(bottom, z, lines["H"] / (1 + z), color=color, linestyle=style)
    error = np.sqrt(np.diag(table.covariance))
    for kind, marker, name in ((1, "o", "$D_M$"), (0, "s", "$D_V$"), (2, "^", "$D_H$")):
        of = table.kind == kind
        scale = 1 / np.sqrt(table.z[of])
        top.errorbar(
            table.z[of],
            table.value[of] * scale,
            error[of] * scale,
            fmt=marker,
            color="k",
            ms=5,
            label=f"DESI DR2 {name}",
        )
    top.set_ylabel(r"$D(z)\,/\,(r_\mathrm{d}\sqrt{z})$")
    top.legend(frameon=False, fontsize=9)
    total = np.sqrt(np.diag(clocks.covariance))
    bottom.errorbar(
        clocks.z,
        clocks.H / (1 + clocks.z),
        total / (1 + clocks.z),
        fmt="o",
        color="k",
        ms=4,
        lw=1,
        label="cosmic chronometers",
    )
    bottom.set(xlabel="redshift $z$", ylabel=r"$H(z)\,/\,(1+z)$ [km s$^{-1}$ Mpc$^{-1}$]", xlim=(0, 2.5))
    bottom.legend(frameon=False, fontsize=9)
    return figure
