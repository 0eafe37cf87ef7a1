"""What ``bayesastro info`` does: say what a result holds, and how far to trust it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from bayesastro.calibration.outcomes import Outcomes
from bayesastro.commands.reading import result_at
from bayesastro.commands.reporting import as_text, attributes, findings, rows
from bayesastro.commands.summarising import summary_of
from bayesastro.diagnostics import diagnose
from bayesastro.starting import draws_fingerprint

__all__ = ["run"]


def run(path: Path, *, names: Sequence[str] = (), json: bool = False, echo: Callable[[str], None] = print) -> None:
    """Print groups, attributes, summary and diagnosis of a result; of a calibration its checks.

    Raises
    ------
    ValueError, OSError
        If there is no such result, or it has no such variable.
    """
    result = result_at(path)
    groups = {
        name: {str(n): list(v.shape) for n, v in group.data_vars.items()} for name, group in result.children.items()
    }
    known = attributes(result)
    if "posterior" in result.children:
        table, diagnosis = summary_of(result, names), diagnose(result)
        known["draws_fingerprint"] = draws_fingerprint(result)  # as `start_fingerprint` of those that started from it
        judged: dict[str, Any] = {"summary": rows(table), "findings": findings(diagnosis)}
        text = f"{table}\n\n{diagnosis}"
    elif names:
        raise ValueError(f"`--var` is for results with a posterior, but `{path}` has none. Leave it out.")
    else:
        judged, text = _calibration(result)
    if json:
        echo(as_text({"attributes": known, "groups": groups, **judged}))
        return
    width = max(map(len, known), default=0)
    lines = [f"{name:<{width}}  {_short(value)}" for name, value in known.items()]
    lines += ["", *(f"{name}: {_variables(variables)}" for name, variables in groups.items())]
    echo("\n".join([*lines, "", text]))


def _calibration(result: xr.DataTree) -> tuple[dict[str, Any], str]:
    """Failed fits and checks of a calibration's report, if this is one."""
    if "checks" not in result.children:
        return {}, "No posterior: nothing to judge."
    checks = result["checks"].to_dataset().to_dataframe()
    outcomes = Outcomes.of_file(result["fits"].to_dataset())
    return {"checks": rows(checks), "failed": outcomes.reasons()}, f"{outcomes.told()}\n\n{checks.to_string()}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def _variables(variables: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" if shape else name for name, shape in variables.items())
