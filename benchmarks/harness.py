"""Runs workloads, each in a process of its own, and writes what they report as they end."""

import datetime
import os
import platform
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import click

from benchmarks.peers import failed
from benchmarks.report import Report, entered

__all__ = ["run_all"]

PACKAGES = ("bayesastro", "jax", "numpyro", "blackjax", "numpy")


def machine() -> str:
    """What the figures were measured on, and what else it did."""
    import jax

    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores ({platform.machine()})"
    return (
        f"Python {platform.python_version()}, {versions}; {cores}, device {jax.devices()[0].device_kind}, load "
        f"{os.getloadavg()[0]:.1f} at the start."
    )


def measured(module: str) -> tuple[str, Report]:
    """The machine, the workload's docstring and its report; runs in the workload's process."""
    words = machine()
    workload = import_module(module)
    report = workload.run()
    return words, Report(f"{(workload.__doc__ or '').strip()}\n\n{report.text}", report.ratios)


def run_all(workloads: Mapping[str, tuple[str, str]], out: Path, note: str = "") -> list[str]:
    """Run workloads one after the other, print their ratios, and enter each into a file when it ends.

    Parameters
    ----------
    workloads : mapping of str to (str, str)
        Module and title, by name.
    out : Path
        Markdown file; sections of other workloads in it are kept.
    note : str
        A sentence that the sections begin with.

    Returns
    -------
    list of str
        Names of those that failed; the others' figures are there.
    """
    failures, date = [], str(datetime.date.today())
    for name, (module, title) in workloads.items():
        click.echo(f"## {title}\n")
        words = "the workload failed."
        try:
            # A process of its own: switches, caches and crashes of one workload do not reach the next.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                words, report = pool.submit(measured, module).result()
            rows = [ratio.row(title, date) for ratio in report.ratios]
            section = "\n\n".join(part for part in (f"{date}; {words}", note, report.text) if part)
        except (Exception, SystemExit) as error:
            failures.append(name)
            section = f"{date}; {failed(error)}"
            rows = [f"| {title} | – | – | – | {failed(error)} | – | {date} |"]
        click.echo("\n".join(["", *rows, ""]))
        document = out.read_text() if out.exists() else ""
        out.write_text(entered(document, title, section, rows, f"{date}; {words}"))
    return failures
