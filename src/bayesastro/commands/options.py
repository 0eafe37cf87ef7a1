"""Options that several commands share, and what their help says; nothing heavy is loaded for it."""

import functools
from collections.abc import Callable
from pathlib import Path

import click

__all__ = [
    "ENGINES",
    "FALSE_ALARM",
    "KINDS",
    "NEAR",
    "READABLE",
    "engine_options",
    "json_option",
    "names_option",
    "run_options",
    "settings_option",
    "time_limit_option",
]

ENGINES = ("nuts", "mclmc", "nestedsampler", "smc", "geovi", "pathfinder", "ensemble")
"""Told in help, which loads none of them."""

KINDS = ("corner", "trace", "rank", "predictive", "evidence", "field", "calibration")

NEAR = "Where to simulate: from the prior, or near the observed data, from their posterior."

FALSE_ALARM = "How often an engine without fault may get the verdict fail."

READABLE = click.Path(exists=True, path_type=Path)


def json_option(command: Callable[..., None]) -> Callable[..., None]:
    """JSON in place of text."""
    return click.option("--json", is_flag=True, help="Print one JSON document in place of text.")(command)


def settings_option(command: Callable[..., None]) -> Callable[..., None]:
    """Settings of an engine or a method."""
    told = "A setting of the engine or method; may be repeated. A name that is none lists all."
    return click.option("--set", "options", multiple=True, metavar="NAME=VALUE", help=told)(command)


def time_limit_option(command: Callable[..., None]) -> Callable[..., None]:
    """When to stop."""
    told = "Seconds after which to stop; the same command goes on."
    return click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help=told)(command)


def names_option(command: Callable[..., None]) -> Callable[..., None]:
    """Which variables to print."""
    told = "Print this variable only, in full, or one number of it, such as 'a[0]'; may be repeated."
    return click.option("--var", "names", multiple=True, metavar="NAME", help=told)(command)


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """An engine by name, and its settings."""
    told = f"{', '.join(ENGINES)}; or a folder of trained networks."
    return click.option("--engine", default="nuts", show_default=True, help=told)(settings_option(command))


def run_options(folder: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What every command that runs something takes: where to write, the seed, and whether to be quiet."""
    out = click.Path(file_okay=False, path_type=Path)
    options = (
        click.option(
            "--out", type=out, default=Path(folder), show_default=True, help="Folder to write to; made if need be."
        ),
        click.option(
            "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the random numbers."
        ),
        click.option("--quiet", is_flag=True, help="Show no progress."),
        click.pass_obj,
    )
    return lambda command: functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)
