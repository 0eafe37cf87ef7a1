"""What ``bayesastro calibrate`` does: a model and an engine by name, a report and its picture in a folder."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bayesastro.calibration.calibrate import Near, calibrate
from bayesastro.calibration.report import TABLE, CalibrationReport
from bayesastro.commands.naming import engine_named, problem_named
from bayesastro.commands.reporting import as_text, rows
from bayesastro.commands.wording import in_options
from bayesastro.commands.writing import begun

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
    time_limit: float | None = None,
    progress: bool = True,
    json: bool = False,
    echo: Callable[[str], None] = print,
) -> CalibrationReport:
    """Calibrate a model named on the command line, or go on with what the folder holds; returns the report.

    The fits are kept in the folder until all are done; too few for any check leave nothing else.

    Raises
    ------
    ValueError, TypeError
        If there is no such model, engine or setting, `calibrate` refuses, or the folder holds an unfinished calibration
        other than this.
    KeyboardInterrupt
        If the fit of the observed data was interrupted.
    TimeoutError
        If it did not end within the time limit.
    OSError
        If the folder cannot be written to, or data of the model's example are missing.
    """
    chosen, problem = engine_named(engine, options), problem_named(model)  # which may read data
    folder, data = begun(out, model, json=json, echo=echo)
    kept = out / "checkpoint"
    words = {"checkpoint": "--out", "num_simulations": "--num", "false_alarm": "--false-alarm", "seed": "--seed"}
    with in_options(chosen.settings(), **words):
        report = calibrate(
            problem,
            chosen,
            num_simulations=num,
            seed=seed,
            near=near,
            false_alarm=false_alarm,
            checkpoint=kept,
            time_limit=time_limit,
            progress=progress,
        )
    facts = {"data": data, "verdict": report.verdict, "status": report.attributes["status"]}
    facts |= {"num_failed": report.num_failed, "failed": report.outcomes.reasons()}
    facts |= {"num_fitted": int(report.reached.sum()), "num_simulations": len(report.reached)}
    is_empty, text = not len(report.assessment.pit), str(report)
    if report.verdict == "incomplete" and is_empty:
        echo(as_text({**facts, "written": []}) if json else text.replace(f"; {TABLE}", ""))
        return report
    folder.keep(report.to_datatree(), "calibration.nc")
    if not is_empty:
        folder.keep(report.plot(), "calibration.png")
    table, text = report.summary(), text.replace("`report.fits`", "the group `fits` of calibration.nc")
    facts |= {"false_alarm": report.false_alarm, "checks": rows(report.checks), "parameters": rows(table)}
    folder.tell(text if is_empty else f"{text}\n\n{table.round(3)}", facts, json=json, echo=echo)
    if report.verdict != "incomplete":
        shutil.rmtree(kept)
    return report
