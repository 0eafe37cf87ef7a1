"""The command line: ``bayesastro demo``."""

import sys
from pathlib import Path

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


@cli.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Folder to write to.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the random numbers.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_obj
def demo(settings: dict[str, bool], out: Path, seed: int, quiet: bool) -> None:
    """Fit ΛCDM and w₀wₐCDM to DESI DR2 distances and cosmic chronometers.

    Writes the results (netCDF) and three pictures, and prints parameter tables and diagnostics.

    \b
    Example:
      bayesastro demo --out demo --seed 1
    """
    if settings["cache"]:
        from bayesastro.compilation import enable_compilation_cache

        enable_compilation_cache()
    from bayesastro.demo import run

    run(out, seed=seed, progress=not quiet, echo=click.echo)


def main() -> None:
    """Run the command line; an expected error is one line on standard error and exit code 1."""
    debug = "--debug" in sys.argv
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except (ValueError, TypeError, OSError, ImportError) as error:
        if debug:
            raise
        click.echo(f"bayesastro: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
