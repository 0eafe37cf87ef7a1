"""Run the workloads and write their tables: ``python -m benchmarks [NAME ...] [--out FILE]``."""

import os
from pathlib import Path

import click

from benchmarks.data_folder import data_folder
from benchmarks.harness import run_all

WORKLOADS = {
    "nuts": ("benchmarks.nuts_kernels", "NUTS kernels"),
    "ensemble": ("benchmarks.ensembles", "Ensembles of walkers"),
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

LIST = "\b\n" + "\n".join(f"{name:<12}{title}" for name, (_, title) in WORKLOADS.items())


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=LIST)
@click.argument("names", nargs=-1, type=click.Choice(list(WORKLOADS)), metavar="[NAME]...")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("bench.md"),
    show_default=True,
    help="Enter ratios and tables into this file; what it has of other workloads stays.",
)
@click.option("--note", default="", help="A sentence about the circumstances, for the file.")
def main(names: tuple[str, ...], out: Path, note: str) -> None:
    """Time workloads, by default all, beside their peers.

    Each runs in a process of its own. A peer that is not installed is named (`make peers` installs them all), a workload
    that fails too; the others go on, and the exit status is 1.
    """
    os.environ.setdefault("BAYESASTRO_DATA", str(data_folder()))  # from which data sets are loaded by name
    failures = run_all({name: WORKLOADS[name] for name in names or WORKLOADS}, out, note)
    click.echo(f"Ratios and tables are in {out}.")
    if failures:
        raise click.ClickException(f"Failed: {', '.join(failures)}.")


if __name__ == "__main__":
    main()
