"""Run the workloads and write their tables: ``python -m benchmarks [NAME ...] [--out FILE]``."""

import datetime
import os
import platform
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks.data_folder import data_folder

WORKLOADS = {
    "nuts": ("benchmarks.nuts_kernels", "NUTS kernels"),
    "overhead": ("benchmarks.overhead", "Overhead"),
    "nested": ("benchmarks.nested_sampling", "Nested sampling of a costly likelihood"),
    "shells": ("benchmarks.gaussian_shells", "Nested sampling of Gaussian shells"),
    "many": ("benchmarks.many_light_curves", "Many data sets"),
    "neural": ("benchmarks.neural_sampling", "Drawing from neural posteriors"),
    "sbibm": ("benchmarks.sbi_scores", "Simulation-based inference"),
    "lens": ("benchmarks.lens_images", "Images of lensed galaxies"),
    "lemon": ("benchmarks.lens_network", "A network for lenses"),
    "slacs": ("benchmarks.slacs_lenses", "Lenses of SLACS"),
    "initial": ("benchmarks.initial_conditions", "Initial conditions from galaxies"),
    "geovi": ("benchmarks.geovi_fields", "GeoVI on fields"),
    "transit": ("benchmarks.transit_gp", "Transits with a Gaussian process"),
    "supernovae": ("benchmarks.supernova_latents", "Supernovae with sampled latents"),
    "xray": ("benchmarks.xray_spectra", "An X-ray spectrum"),
    "xray_image": ("benchmarks.xray_image", "X-ray images on counts held out"),
    "xray_stages": ("benchmarks.xray_stages", "X-ray images in three bands, in stages"),
    "deblending": ("benchmarks.deblending", "Deblending of three maps"),
    "young": ("benchmarks.young_stars", "Young stars by a network"),
    "night": ("benchmarks.alert_night", "A night of alerts"),
}

PACKAGES = ("bayesastro", "jax", "numpyro", "blackjax", "numpy")


def machine() -> str:
    """What the figures were measured on."""
    import jax

    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    device = jax.devices()[0].device_kind
    return (
        f"{datetime.date.today()}; Python {platform.python_version()}, {versions}; "
        f"{os.cpu_count()} cores ({platform.machine()}), device {device}."
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(WORKLOADS)))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the tables to this file too.")
def main(names: tuple[str, ...], out: Path | None) -> None:
    """Time the workloads NAMES, by default all, beside their peers; print one Markdown table each."""
    os.environ.setdefault("BAYESASTRO_DATA", str(data_folder()))  # which data sets are loaded from by name
    parts = [machine()]
    for name in names or WORKLOADS:
        module, title = WORKLOADS[name]
        workload = import_module(module)
        click.echo(f"## {title}\n")
        parts.append(f"## {title}\n\n{(workload.__doc__ or '').strip()}\n\n{workload.run()}")
        click.echo()
    if out is not None:
        out.write_text("# Benchmarks\n\n" + "\n\n".join(parts) + "\n")


main()
