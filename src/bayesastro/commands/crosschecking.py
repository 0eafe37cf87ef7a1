"""What ``bayesastro crosscheck`` does: one model by several engines, and whether they agree."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

from bayesastro.agreement import crosscheck
from bayesastro.commands.naming import data_told, engine_named, problem_named
from bayesastro.commands.reporting import as_text, rows
from bayesastro.output import prepare_folder, save_figure
from bayesastro.result import save

__all__ = ["run"]


def run(
    model: str,
    out: Path,
    *,
    engines: Sequence[str],
    seed: int,
    progress: bool = True,
    json: bool = False,
    echo: Callable[[str], None] = print,
) -> str:
    """Fit a model by engines named on the command line, with their default settings; returns the verdict.

    Raises
    ------
    ValueError, TypeError
        If there is no such model or engine, fewer than two are named, or one refuses.
    OSError
        If the folder cannot be written to, or data of the model's example are missing.
    """
    matplotlib.use("Agg")
    chosen, problem = [engine_named(name, []) for name in engines], problem_named(model)  # which may read data
    prepare_folder(out)
    told = data_told(model)
    if told and not json:
        echo(f"{told}\n")
    agreement = crosscheck(problem, chosen, seed=seed, progress=progress)
    written = []
    for name, result in agreement.results.items():
        written.append(f"{name}.nc")
        save(result, out / written[-1])
    save_figure(agreement.plot(), out / "agreement.png")
    written.append("agreement.png")
    if json:
        tables = {"pairs": rows(agreement.summary()), "written": [str(out / name) for name in written]}
        echo(as_text({"data": told or None, "verdict": agreement.verdict, **tables}))
    else:
        echo(f"{agreement}\n\nWritten to {out}/: {', '.join(written)}")
    return agreement.verdict
