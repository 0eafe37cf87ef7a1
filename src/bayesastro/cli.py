"""The command line: one command for each thing that one does with a model or a result."""

import functools
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bayesastro._version import __version__

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bayesastro")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--no-cache", is_flag=True, help="Do not keep compiled programs on disk between runs.")
@click.pass_context
def cli(context: click.Context, debug: bool, no_cache: bool) -> None:
    """Bayesian inference for astronomy: one NumPyro program, every engine, calibrated posteriors."""
    context.obj = {"cache": not no_cache}


UNFINISHED = {"time limit reached": 124, "interrupted": 130}
"""Exit codes of a fit that is to be gone on with: those of `timeout`, and of a shell after Ctrl-C."""

KINDS = ("corner", "trace", "rank", "predictive", "evidence", "field", "calibration")

UNDECIDED = 3
"""Exit code of a verdict that is neither "pass" nor "fail"; 2 is click's for wrong usage."""

READABLE = click.Path(exists=True, path_type=Path)


def _json_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("--json", is_flag=True, help="Print one JSON document.")(command)


def _settings_option(command: Callable[..., None]) -> Callable[..., None]:
    told = "A setting of the engine or method; may be repeated."
    return click.option("--set", "options", multiple=True, metavar="NAME=VALUE", help=told)(command)


def _engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """An engine by name, and its settings."""
    told = "Name of the engine, in any case, or folder of trained networks."
    return click.option("--engine", default="nuts", show_default=True, help=told)(_settings_option(command))


def _run_options(folder: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What every command that runs something takes: where to write, the seed, and whether to be quiet."""
    out = click.Path(file_okay=False, path_type=Path)
    options = (
        click.option("--out", type=out, default=Path(folder), show_default=True, help="Folder to write to."),
        click.option(
            "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the random numbers."
        ),
        click.option("--quiet", is_flag=True, help="No progress."),
        click.pass_obj,
    )
    return lambda command: functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


@cli.command()
@_run_options("demo")
def demo(settings: dict[str, bool], out: Path, seed: int, quiet: bool) -> None:
    """Fit ΛCDM and w₀wₐCDM to DESI DR2 distances and cosmic chronometers.

    Writes the results (netCDF) and three pictures, and prints parameter tables and diagnostics.

    \b
    Example:
      bayesastro demo --out demo --seed 1
    """
    _keep_compiled(settings)
    from bayesastro.demo import run

    run(out, seed=seed, progress=not quiet, echo=click.echo)


@cli.command()
@_json_option
def models(json: bool) -> None:
    """List all programs of the package: what they are, their data, those of their example, engines to try, papers.

    \b
    Example:
      bayesastro models
    """
    from bayesastro.commands.listing import run

    run(json=json, echo=click.echo)


@cli.command()
@click.argument("model")
@_engine_options
@click.option("--start", type=READABLE, help="Result of another engine to start from.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help="Seconds after which to stop.")
@click.option("--precision", type=click.Choice(["double", "single"]), default="double", show_default=True)
@_json_option
@_run_options("fit")
def fit(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Fit a model and say how far to trust the result.

    MODEL is a name of `bayesastro models` (cosmology.bao), which is fitted to published data as an example, or
    module:function of a function that returns a Problem. Writes the result (netCDF) and its pictures. Ctrl-C and the time limit write what there is; the same command goes on
    from there. The exit code is 130 after Ctrl-C, and 124 after the time limit.

    \b
    Examples:
      bayesastro fit cosmology.bao --engine nuts --set num_draws=2000
      bayesastro fit lensing.parametric --engine pathfinder
      bayesastro fit mymodels:build --engine nestedsampler --out nested --json
    """
    _keep_compiled(settings)
    from bayesastro.commands.leaving import second_interrupt_ends

    with second_interrupt_ends(_going_on("stopped at once")):
        from bayesastro.commands.fitting import run

        status = run(model, out, progress=not quiet, echo=click.echo, **choices).attrs["status"]
    if status != "complete":
        click.echo(_going_on(status), err=True)
    if status in UNFINISHED:
        raise click.exceptions.Exit(UNFINISHED[status])


@cli.command()
@click.argument("model")
@click.option("--method", default="npe", show_default=True, help="npe, nle or nre: what is learnt.")
@_settings_option
@click.option("--num", type=click.IntRange(min=1), default=20_000, show_default=True, help="Number of simulations.")
@_json_option
@_run_options("trained")
def train(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Simulate a model and train networks on it: an engine that gives posteriors in milliseconds.

    MODEL is a name of `bayesastro models` (cosmology.supernova_summaries), or module:function of a function that returns a Problem.
    Writes a bank of simulations and the networks. After Ctrl-C the same command goes on with the simulations; in training, Ctrl-C keeps
    the best epoch so far. Needs the extra "neural".

    \b
    Examples:
      bayesastro train mymodels:build --num 20000
      bayesastro train mymodels:build --method nre --set max_epochs=30 --out ratio
      bayesastro fit mymodels:build --engine trained/network
    """
    _keep_compiled(settings)
    from bayesastro.commands.training import run

    run(model, out, progress=not quiet, echo=click.echo, **choices)


@cli.command()
@click.argument("model")
@_engine_options
@click.option("--num", type=click.IntRange(min=1), default=300, show_default=True, help="Number of simulations.")
@click.option(
    "--near", type=click.Choice(["prior", "observed"]), default="prior", show_default=True, help="Where to simulate."
)
@click.option(
    "--false-alarm", type=float, default=0.01, show_default=True, help="Rate of failures of right posteriors."
)
@_json_option
@_run_options("calibration")
def calibrate(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Say whether an engine's posteriors of a model are right, by simulations of which the truth is known.

    MODEL is a name of `bayesastro models` (cosmology.bao), or module:function of a function that returns a Problem.
    Writes the report (netCDF) and its picture. The exit code is 1 if the verdict is "fail". Ctrl-C tells how many fits are done, with
    exit code 130; the same command goes on from there.

    \b
    Examples:
      bayesastro calibrate cosmology.bao --engine nuts --num 300
      bayesastro calibrate mymodels:build --engine mclmc --set num_draws=2000 --near observed
    """
    _keep_compiled(settings)
    from bayesastro.commands.leaving import second_interrupt_ends

    try:
        with second_interrupt_ends(_going_on("stopped at once")):
            from bayesastro.commands.calibrating import run

            verdict = run(model, out, progress=not quiet, echo=click.echo, **choices)
    except KeyboardInterrupt:
        verdict = "incomplete"
    if verdict == "incomplete":
        click.echo(_going_on("interrupted"), err=True)
        raise click.exceptions.Exit(130)
    if verdict != "pass":
        raise click.exceptions.Exit(1)


@cli.command()
@click.argument("model")
@click.argument("engines", nargs=-1, required=True)
@_json_option
@_run_options("crosscheck")
def crosscheck(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Fit a model with several ENGINES and say whether they agree.

    Writes their results (netCDF) and a picture of their shifts. The exit code is 1 if the verdict is "fail", and 3 if it is
    "undecided": a difference that matters could be there, but the draws are too few to show it.

    \b
    Example:
      bayesastro crosscheck cosmology.bao nuts nestedsampler smc
    """
    _keep_compiled(settings)
    from bayesastro.commands.crosschecking import run

    verdict = run(model, out, progress=not quiet, echo=click.echo, **choices)
    if verdict != "pass":
        raise click.exceptions.Exit(UNDECIDED if verdict == "undecided" else 1)


@cli.command()
@click.argument("result", type=READABLE)
@_json_option
def info(result: Path, json: bool) -> None:
    """Say what a RESULT holds, and how far to trust it: engine, seed, versions, summary, findings.

    \b
    Examples:
      bayesastro info fit/result.nc
      bayesastro info calibration/calibration.nc --json
    """
    from bayesastro.commands.telling import run

    run(result, json=json, echo=click.echo)


@cli.command()
@click.argument("results", nargs=-1, required=True, type=READABLE)
@click.option("--kind", type=click.Choice(KINDS), help="Of picture; by default corner, and of a calibration its page.")
@click.option(
    "--var",
    "names",
    multiple=True,
    metavar="NAME",
    help="A variable to show, or an entry such as v[0]; may be repeated.",
)
@click.option("--model", help="Predictive: what was fitted, as for fit; by default what the result says.")
@click.option("--x", metavar="NAME", help="Predictive: argument of the program to draw over, such as the times.")
@click.option(
    "--period", metavar="NAME|NUMBER", help="Predictive: fold --x; with a variable's name, its posterior median."
)
@click.option("--epoch", metavar="NAME|NUMBER", help="Predictive: where the phase is 0, as --period.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; by default named after results and kind, such as fit-corner.png.",
)
@click.pass_obj
def plot(
    settings: dict[str, bool], results: tuple[Path, ...], kind: str | None, out: Path | None, **choices: Any
) -> None:
    """Draw a picture of one or several RESULTS (corner and evidence) into a PNG file.

    A predictive one shows the data on what the posterior predicts for them, for which the model runs again.

    \b
    Examples:
      bayesastro plot fit/result.nc --var Omega_m --var hrd
      bayesastro plot nuts/result.nc nested/result.nc --kind corner --out both.png
      bayesastro plot fit/result.nc --kind predictive --x time
      bayesastro plot fit/result.nc --kind predictive --x time --period period --epoch t0
      bayesastro plot calibration/calibration.nc
    """
    if kind == "predictive":
        _keep_compiled(settings)
    from bayesastro.commands.plotting import run

    run(results, kind, out, echo=click.echo, **choices)


def _going_on(status: str) -> str:
    """What to type to go on with this command."""
    return f"{status}; to go on: {shlex.join(['bayesastro', *sys.argv[1:]])}"


def _keep_compiled(settings: dict[str, bool]) -> None:
    """Keep compiled programs on disk unless told otherwise."""
    if settings["cache"]:
        from bayesastro.compilation import enable_compilation_cache

        enable_compilation_cache()


def main() -> None:
    """Run the command line; a warning and an expected error are one line on standard error, an error is exit code 1."""
    as_before, warnings.formatwarning = warnings.formatwarning, _in_one_line
    try:
        _run()
    finally:
        warnings.formatwarning = as_before


def _in_one_line(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"bayesastro: {' '.join(str(message).split())}\n"


def _run() -> None:
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]  # wherever it stands
    try:
        sys.exit(cli.main(arguments, standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except (ValueError, TypeError, OSError, ImportError) as error:
        if debug:
            raise
        click.echo(_in_one_line(str(error)), err=True, nl=False)
        sys.exit(1)
