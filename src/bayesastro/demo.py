"""The demonstration: what dark energy do the newest distances and clocks ask for? Real data, two minutes to read."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesastro import plots
from bayesastro.datasets import cosmic_chronometers, desi_dr2_bao
from bayesastro.diagnostics import diagnose
from bayesastro.drive import fit
from bayesastro.inference.nuts import NUTS
from bayesastro.models.cosmology import bao, expansion
from bayesastro.output import prepare_folder, save_figure
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
    prepare_folder(out)
    matplotlib.use("Agg")
    results = {}
    for name, problem in problems().items():
        results[name] = fit(problem, ENGINE, seed=seed, progress=progress)
        if results[name].attrs["status"] == "interrupted":
            raise KeyboardInterrupt
        save(results[name], out / f"{name}.nc")
        echo(f"\n{name}: {problem}\n\n{summary(results[name])}\n\n{diagnose(results[name])}")
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
        save_figure(figure, out / name)
    echo(f"\nWritten to {out}/: {', '.join([f'{n}.nc' for n in results] + list(pictures))}")
    return results


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
        return {name: of_kind(kind) for kind, name in enumerate(KINDS)} | {"H": H}


KINDS = ("D_V/r_d", "D_M/r_d", "D_H/r_d")
"""In the order of the numbers by which a BAO table names them."""

MARKERS = {"D_M/r_d": ("o", "$D_M$"), "D_V/r_d": ("s", "$D_V$"), "D_H/r_d": ("^", "$D_H$")}


def distances_figure(results: dict[str, xr.DataTree]) -> Figure:
    """Distances, their ratios to the median of ΛCDM, and the expansion rate: posterior bands, with the data on top."""
    z = np.linspace(0.05, 2.5, 120)
    lines = {name: curves(results[key], z) for name, key in (("ΛCDM", "joint_lcdm"), ("w₀wₐCDM", "joint_w0wa"))}
    median = {kind: np.median(values, axis=0) for kind, values in lines["ΛCDM"].items()}
    figure, axes = plt.subplots(
        4, 1, figsize=(7.5, 12), sharex=True, constrained_layout=True, height_ratios=[3, 2, 2, 3]
    )
    distances, across, along, rate = axes
    for (model, of), color, style in zip(lines.items(), plots.COLORS, ("-", "--"), strict=False):
        for kind in KINDS:
            label = f"{model}, BAO + clocks" if kind == "D_M/r_d" else None
            plots.band(distances, z, of[kind] / np.sqrt(z), color=color, label=label, linestyle=style)
        plots.band(across, z, of["D_M/r_d"] / median["D_M/r_d"], color=color, linestyle=style)
        plots.band(along, z, of["D_H/r_d"] / median["D_H/r_d"], color=color, linestyle=style)
        plots.band(rate, z, of["H"] / (1 + z), color=color, linestyle=style)
    _draw_distances(distances, z)
    _draw_distances(across, z, median, ("D_M/r_d", "D_V/r_d"))
    _draw_distances(along, z, median, ("D_H/r_d",))
    _draw_clocks(rate)
    distances.set(ylabel=r"$D(z)\,/\,(r_\mathrm{d}\sqrt{z})$", ylim=(0, 45))
    distances.legend(frameon=False, fontsize=9)
    across.set(ylabel=r"$D_M$, $D_V$ over $\Lambda$CDM's", ylim=(0.94, 1.06))
    along.set(ylabel=r"$D_H$ over $\Lambda$CDM's", ylim=(0.92, 1.08))
    rate.set(xlabel="redshift $z$", ylabel=r"$H(z)\,/\,(1+z)$ [km s$^{-1}$ Mpc$^{-1}$]", xlim=(0, 2.5))
    return figure


def _draw_distances(
    axis: Axes, z: np.ndarray, over: dict[str, np.ndarray] | None = None, kinds: tuple[str, ...] = tuple(MARKERS)
) -> None:
    """The BAO table with its errors: over √z, or over a curve of each kind."""
    table = desi_dr2_bao()
    error = np.sqrt(np.diag(table.covariance))
    for kind in kinds:
        of, (marker, name) = table.kind == KINDS.index(kind), MARKERS[kind]
        scale = 1 / (np.sqrt(table.z[of]) if over is None else np.interp(table.z[of], z, over[kind]))
        label = f"DESI DR2 {name}"
        axis.errorbar(
            table.z[of], table.value[of] * scale, error[of] * scale, fmt=marker, color="k", ms=5, lw=1, label=label
        )


def _draw_clocks(axis: Axes) -> None:
    """The chronometers' expansion rates with their errors, systematic ones included."""
    clocks = cosmic_chronometers()
    error = np.sqrt(np.diag(clocks.covariance)) / (1 + clocks.z)
    label = "cosmic chronometers"
    axis.errorbar(clocks.z, clocks.H / (1 + clocks.z), error, fmt="o", color="k", ms=4, lw=1, label=label)
    axis.legend(frameon=False, fontsize=9)
