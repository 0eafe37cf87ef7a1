"""What ``bayesastro calibrate`` does: a model and an engine by name, a report and its picture in a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

from bayesastro.calibration.calibrate import Near, calibrate
from bayesastro.commands.naming import data_told, engine_named, problem_named
from bayesastro.commands.reporting import as_text, rows
from bayesastro.output import prepare_folder, save_figure
from bayesastro.result import save

__all__ = ["run"]


def run(
    model: str,
    out: Path,
    *,
    engine: str,
    options: Sequence[str],
    num: int,
    seed: int,
    near: Near,
    false_alarm: float,
    progress: bool = True,
    json: bool = False,
    echo: Callable[[str], None] = print,
) -> str:
    """Calibrate a model named on the command line; returns the verdict.

    Raises
    ------
    ValueError, TypeError
        If there is no such model, engine or setting, or `calibrate` refuses.
    OSError
        If the folder cannot be written to, or data of the model's example are missing.
    """
    matplotlib.use("Agg")
    chosen, problem = engine_named(engine, options), problem_named(model)  # which may read data
    prepare_folder(out)
    told = data_told(model)
    if told and not json:
        echo(f"{told}\n")
    report = calibrate(
        problem, chosen, num_simulations=num, seed=seed, near=near, false_alarm=false_alarm, progress=progress
    )
    save(report.to_datatree(), out / "calibration.nc")
    written = ["calibration.nc"]
    if len(report.assessment.pit):
        save_figure(report.plot(), out / "calibration.png")
        written.append("calibration.png")
    if json:
        facts = {
            "data": told or None,
            "verdict": report.verdict,
            "num_failed": report.num_failed,
            "false_alarm": report.false_alarm,
        }
        tables = {"checks": rows(report.checks), "parameters": rows(report.summary())}
        echo(as_text({**facts, **tables, "written": [str(out / name) for name in written]}))
    else:
        echo(f"{report}\n\n{report.summary().round(3).to_string()}\n\nWritten to {out}/: {', '.join(written)}")
    return report.verdict
