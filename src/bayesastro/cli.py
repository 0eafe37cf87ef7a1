"""The command line: one command for each thing that one does with a model or a result."""

import shlex
import sys
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from bayesastro._version import __version__
from bayesastro.commands.options import (
    FALSE_ALARM,
    KINDS,
    NEAR,
    READABLE,
    engine_options,
    json_option,
    names_option,
    run_options,
    settings_option,
    time_limit_option,
)

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bayesastro")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--no-cache", is_flag=True, help="Do not keep compiled programs on disk between runs.")
@click.pass_context
def cli(context: click.Context, debug: bool, no_cache: bool) -> None:
    """Bayesian inference for astronomy: one NumPyro program, every engine, calibrated posteriors.

    \b
    A first hour:
      bayesastro models                   what there is to fit
      bayesastro fit cosmology.bao        a result and its pictures, in fit/
      bayesastro info fit/result.nc       what is in it, how far to trust it
      bayesastro plot fit/result.nc       a corner plot, in fit-corner.png
      bayesastro calibrate cosmology.bao  whether the error bars are right

    Of each command, `bayesastro COMMAND --help` tells the options with examples. Exit codes: 0 done; 1 an error, or the
    verdict "fail"; 2 wrong usage; 3 the verdict "undecided"; 124 the time limit came first; 130 interrupted.
    """
    context.obj = {"cache": not no_cache}


UNFINISHED = {"time limit reached": 124, "interrupted": 130}
"""Exit codes of what is to be gone on with: those of `timeout`, and of a shell after Ctrl-C."""

UNDECIDED = 3
"""Exit code of a verdict that is neither "pass" nor "fail"; 2 is click's for wrong usage."""


@cli.command(short_help="An example from end to end: ΛCDM and w₀wₐCDM.")
@run_options("demo")
def demo(settings: dict[str, bool], out: Path, seed: int, quiet: bool) -> None:
    """Fit ΛCDM and w₀wₐCDM to DESI DR2 distances and cosmic chronometers.

    Writes the results (netCDF) and three pictures, and prints parameter tables and diagnostics.

    \b
    Example:
      bayesastro demo --out demo --seed 1
    """
    _keep_compiled(settings)
    with _ends_at_second_interrupt("stopped at once"):
        from bayesastro.demo import run

        run(out, seed=seed, progress=not quiet, echo=click.echo)


@cli.command(short_help="List the models of the package.")
@json_option
def models(json: bool) -> None:
    """List the models of the package: their data and example, engines to try, papers.

    \b
    Example:
      bayesastro models
    """
    from bayesastro.commands.listing import run

    run(json=json, echo=click.echo)


@cli.command(short_help="Fit a model.")
@click.argument("model")
@engine_options
@click.option("--start", type=READABLE, help="Result (a file) of another engine or fit, to start from its draws.")
@time_limit_option
@click.option(
    "--precision",
    type=click.Choice(["double", "single"]),
    default="double",
    show_default=True,
    help="Of the floating-point numbers of the run.",
)
@click.option("--log-likelihood", is_flag=True, help="Keep the log-likelihood of each datum at each draw, for compare.")
@names_option
@json_option
@run_options("fit")
def fit(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Fit a model and say how far to trust the result.

    MODEL is a name that `bayesastro models` lists (cosmology.bao), which is fitted to published data as an example; or one
    of your own, mymodels:build for the function build() in mymodels.py of this folder, which returns a Problem. Writes the
    result (result.nc) and its pictures, and prints a table of the parameters and what is wrong with them. Ctrl-C and the
    time limit write what there is; the same command goes on from there. The exit code is 130 after Ctrl-C, and 124 after
    the time limit.

    \b
    Examples:
      bayesastro fit cosmology.bao --engine nuts --set num_draws=2000
      bayesastro fit lensing.parametric --engine pathfinder
      bayesastro fit mymodels:build --engine nestedsampler --out nested --json
    """
    _keep_compiled(settings)
    with _ends_at_second_interrupt(_going_on("stopped at once")):
        from bayesastro.commands.fitting import run

        status = run(model, out, progress=not quiet, echo=click.echo, **choices).attrs["status"]
    if status != "complete":
        click.echo(_going_on(status), err=True)
    if status in UNFINISHED:
        raise click.exceptions.Exit(UNFINISHED[status])


@cli.command(short_help="Train networks on simulations of a model.")
@click.argument("model")
@click.option(
    "--method",
    default="npe",
    show_default=True,
    help="What is learnt: npe the posterior, nle the likelihood, nre its ratio to the evidence.",
)
@settings_option
@click.option("--num", type=click.IntRange(min=1), default=20_000, show_default=True, help="Number of simulations.")
@json_option
@run_options("trained")
def train(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Simulate a model and train networks on it: an engine that gives posteriors in milliseconds.

    MODEL is as for fit (cosmology.supernova_summaries, mymodels:build). Writes the simulations (bank) and the networks
    (network), a folder that every command takes as --engine. After Ctrl-C the same command goes on with the simulations; in
    training, Ctrl-C keeps the best epoch so far. Needs PyTorch: pip install "bayesastro[neural]".

    \b
    Examples:
      bayesastro train mymodels:build --num 20000
      bayesastro train mymodels:build --method nre --set max_epochs=30 --out ratio
      bayesastro fit mymodels:build --engine trained/network
    """
    _keep_compiled(settings)
    try:
        with _ends_at_second_interrupt(_going_on("stopped at once")):
            from bayesastro.commands.training import run

            run(model, out, progress=not quiet, echo=click.echo, **choices)
    except KeyboardInterrupt as error:
        click.echo(_going_on("interrupted"), err=True)
        raise click.exceptions.Exit(130) from error


@cli.command(short_help="Say whether the error bars of an engine are right.")
@click.argument("model")
@engine_options
@click.option("--num", type=click.IntRange(min=1), default=300, show_default=True, help="Number of simulations.")
@click.option("--near", type=click.Choice(["prior", "observed"]), default="prior", show_default=True, help=NEAR)
@click.option("--false-alarm", type=float, default=0.01, show_default=True, help=FALSE_ALARM)
@time_limit_option
@json_option
@run_options("calibration")
def calibrate(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Say whether an engine's posteriors of a model are right, by simulations of which the truth is known.

    MODEL is as for fit (cosmology.bao, mymodels:build). Simulates --num data sets, fits each of them, which takes as long
    as so many fits, and tests whether the truths lie among the draws as they should. Writes the report (calibration.nc) and
    its picture. The exit code is 1 if the verdict is "fail". Ctrl-C and the time limit tell how many fits are done, with exit
    codes 130 and 124; the same command goes on from there.

    \b
    Examples:
      bayesastro calibrate cosmology.bao --engine nuts --num 300
      bayesastro calibrate mymodels:build --engine mclmc --set num_draws=2000 --near observed
    """
    _keep_compiled(settings)
    try:
        with _ends_at_second_interrupt(_going_on("stopped at once")):
            from bayesastro.commands.calibrating import run

            report = run(model, out, progress=not quiet, echo=click.echo, **choices)
            verdict, status = report.verdict, report.attributes["status"]
    except KeyboardInterrupt:
        verdict, status = "incomplete", "interrupted"
    except TimeoutError:
        verdict, status = "incomplete", "time limit reached"
    if verdict == "incomplete":
        click.echo(_going_on(status), err=True)
        raise click.exceptions.Exit(UNFINISHED[status])
    if verdict != "pass":
        raise click.exceptions.Exit(1)


@cli.command(short_help="Say whether several engines agree.")
@click.argument("model")
@click.argument("engines", nargs=-1, required=True)
@json_option
@run_options("crosscheck")
def crosscheck(settings: dict[str, bool], model: str, out: Path, quiet: bool, **choices: Any) -> None:
    """Fit a model with several ENGINES and say whether they agree.

    MODEL is as for fit (cosmology.bao, mymodels:build). ENGINES are two or more names as for --engine of fit, or folders of
    trained networks, with their default settings. Writes their results (netCDF) and a picture of their shifts. The exit code is 1 if the verdict is "fail", and 3 if it is
    "undecided": a difference that matters could be there, but the draws are too few to show it.

    \b
    Example:
      bayesastro crosscheck cosmology.bao nuts nestedsampler smc
    """
    _keep_compiled(settings)
    with _ends_at_second_interrupt("stopped at once"):
        from bayesastro.commands.crosschecking import run

        verdict = run(model, out, progress=not quiet, echo=click.echo, **choices)
    if verdict != "pass":
        raise click.exceptions.Exit(UNDECIDED if verdict == "undecided" else 1)


@cli.command(short_help="Say which of several models the data favour.")
@click.argument("results", nargs=-1, required=True, type=READABLE)
@json_option
def compare(results: tuple[Path, ...], json: bool) -> None:
    """Say which of several models of the same data they favour: a table of two or more RESULTS, the best first.

    Results of nestedsampler and smc are compared by their evidences (Bayes factors and probabilities); those of
    `bayesastro fit --log-likelihood` by how well they predict data that are left out one by one (elpd). A result is called
    by its file, or by its folder if the file is result.nc. Below the table stands what is wrong with a result.

    \b
    Examples:
      bayesastro fit mymodels:line --engine nestedsampler --out line
      bayesastro fit mymodels:curve --engine nestedsampler --out curve
      bayesastro compare line/result.nc curve/result.nc
    """
    from bayesastro.commands.comparing import run

    run(results, json=json, echo=click.echo)


@cli.command(short_help="Say what a result holds.")
@click.argument("result", type=READABLE)
@names_option
@json_option
def info(result: Path, **choices: Any) -> None:
    """Say what a RESULT holds, and how far to trust it.

    RESULT is a file of `bayesastro fit` or `bayesastro calibrate`, or that `bayesastro.save` wrote. Prints engine, settings,
    seed and versions; what variables there are; a table of the parameters, of long vectors the first rows; and what
    is wrong with it.

    \b
    Examples:
      bayesastro info fit/result.nc
      bayesastro info fit/result.nc --var Omega_m --var "flux[0]"
      bayesastro info calibration/calibration.nc --json
    """
    from bayesastro.commands.telling import run

    run(result, echo=click.echo, **choices)


@cli.command(short_help="Draw a picture of results.")
@click.argument("results", nargs=-1, required=True, type=READABLE)
@click.option(
    "--kind", type=click.Choice(KINDS), help="What to draw; by default corner, and of a calibration its page."
)
@click.option(
    "--var",
    "names",
    multiple=True,
    metavar="NAME",
    help="A variable to show, or an entry such as v[0]; may be repeated.",
)
@click.option("--model", help="For predictive: MODEL as for fit; by default what the result says.")
@click.option("--x", metavar="NAME", help="For predictive: argument of the program along the axis, such as time.")
@click.option(
    "--period", metavar="NAME|NUMBER", help="For predictive: fold --x; with a variable's name, its posterior median."
)
@click.option("--epoch", metavar="NAME|NUMBER", help="For predictive: where the phase is 0; number or name.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; by default named after results and kind, such as fit-corner.png.",
)
@click.pass_obj
def plot(
    settings: dict[str, bool], results: tuple[Path, ...], kind: str | None, out: Path | None, **choices: Any
) -> None:
    """Draw a picture of one or several RESULTS into a PNG file.

    corner: posteriors in pairs of parameters, of several results on each other. trace, rank: the chains. predictive: the
    data on what the posterior predicts for them, for which the model runs again. evidence: those of several results. field:
    a map or profile, named with --var. calibration: the page of a calibration.

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


def _ends_at_second_interrupt(told: str) -> AbstractContextManager[None]:
    """The context in which a command runs; what it loads is loaded within, for that takes seconds."""
    from bayesastro.commands.leaving import second_interrupt_ends

    return second_interrupt_ends(told)


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
