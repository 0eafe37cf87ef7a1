"""What ``bayesastro calibrate`` does: a model and an engine by name, a report and its picture in a folder."""

import difflib
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import matplotlib

from bayesastro.calibration.calibrate import Near, calibrate
from bayesastro.inference import engines
from bayesastro.inference.engine import Engine
from bayesastro.output import prepare_folder, save_figure
from bayesastro.problem import Problem
from bayesastro.result import save

__all__ = ["engine_named", "problem_named", "run"]


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
    echo: Callable[[str], None] = print,
) -> str:
    """Calibrate a model named on the command line; returns the verdict.

    Raises
    ------
    ValueError, TypeError
        If there is no such model, engine or setting, or `calibrate` refuses.
    OSError
        If the folder cannot be written to.
    """
    matplotlib.use("Agg")
    problem, chosen = problem_named(model), engine_named(engine, options)
    prepare_folder(out)
    report = calibrate(
        problem, chosen, num_simulations=num, seed=seed, near=near, false_alarm=false_alarm, progress=progress
    )
    save(report.to_datatree(), out / "calibration.nc")
    written = ["calibration.nc"]
    if len(report.assessment.pit):
        save_figure(report.plot(), out / "calibration.png")
        written.append("calibration.png")
    echo(f"{report}\n\n{report.summary().round(3).to_string()}\n\nWritten to {out}/: {', '.join(written)}")
    return report.verdict


def problem_named(model: str) -> Problem:
    """The problem that a model's `build` returns, or the function at ``module:function``.

    Raises
    ------
    ValueError
        If there is no such module or function.
    TypeError
        If it returns no `Problem`.
    """
    module, _, function = model.partition(":") if ":" in model else (f"bayesastro.models.{model}", "", "build")
    if ":" in model and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a script's own folder, as `python -m` has it
    try:
        build = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and what it imports is not
        build = None
    if not callable(build):
        raise ValueError(
            f"There is no `{function}` in `{module}`. Name a model of the package, such as `cosmology.bao`, or "
            "`module:function` of a function that returns a `Problem`."
        )
    problem = build()
    if not isinstance(problem, Problem):
        raise TypeError(f"`{model}` must return a `Problem`, but {problem!r} came.")
    return problem


def engine_named(name: str, options: Sequence[str]) -> Engine:
    """The engine of a name in any case, with settings given as ``name=value``.

    Raises
    ------
    ValueError
        If there is no such engine or setting.
    """
    known = {engine.__name__.lower(): engine for engine in engines()}
    if name.lower() not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"There is no engine `{name}`; there are {', '.join(f'`{n}`' for n in known)}.{hint}")
    chosen = known[name.lower()]
    settings: dict[str, Any] = {}
    for option in options:
        key, is_given, value = option.partition("=")
        names = [f.name for f in fields(chosen)]
        if not is_given or key not in names:
            raise ValueError(
                f"`--set {option}`: give NAME=VALUE with a setting of `{chosen.__name__}`: {', '.join(names)}."
            )
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value  # a word
    return chosen(**settings)
