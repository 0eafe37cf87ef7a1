"""What ``bayesastro plot`` does: one picture of one or several results."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesastro import plots
from bayesastro.calibration.page import is_calibration, page_of
from bayesastro.commands.naming import problem_named
from bayesastro.commands.reading import results_of
from bayesastro.commands.wording import in_options
from bayesastro.fingerprint import data_fingerprint
from bayesastro.output import save_figure
from bayesastro.predictive import predict
from bayesastro.problem import Problem

__all__ = ["run"]

SEED = 1
"""Of predictions."""


def run(
    paths: Sequence[Path],
    kind: str | None,
    out: Path,
    *,
    names: Sequence[str],
    model: str | None = None,
    x: str | None = None,
    echo: Callable[[str], None] = print,
) -> None:
    """Draw a picture of the results into a file.

    Parameters
    ----------
    kind : str, optional
        By default ``"corner"``; of a calibration its page, the one picture that it has.
    model : str, optional
        That predictions are of; by default the one that `fit` noted in the result.
    x : str, optional
        Argument of the program to draw predictions over.

    Raises
    ------
    ValueError, TypeError, OSError
        If a result cannot be read, the picture is of one result and several came, or it refuses; or if there is no such model,
        or it has other data than those fitted.
    """
    matplotlib.use("Agg")
    results = results_of(paths)
    if (model or x) and kind != "predictive":
        raise ValueError("`--model` and `--x` are for predictions. Add `--kind predictive`.")
    with in_options(var_names="--var"):
        if kind == "predictive":
            figure = _predictive(_only(results, kind), list(names), model, x)
        elif any(isinstance(result, xr.DataTree) and is_calibration(result) for result in results.values()):
            figure = _page(results, kind, names)
        else:
            figure = _drawn(results, kind or "corner", list(names))
    save_figure(figure, out)
    echo(f"Written: {out}")


def _page(results: dict[str, xr.DataTree], kind: str | None, names: Sequence[str]) -> Figure:
    if kind not in (None, "calibration") or names or len(results) > 1:
        raise ValueError(
            "A calibration has one picture, its page. Draw it without `--kind` and `--var`, and without other results."
        )
    return page_of(next(iter(results.values())))


def _predictive(result: xr.DataTree, names: list[str], model: str | None, x: str | None) -> Figure:
    """Data on the predictions that a result holds, or on those of its draws by the program."""
    if len(names) > 1:
        raise ValueError("A picture of kind `predictive` is of all observed sites, or of the one named with `--var`.")
    named, model = model, model or result.attrs.get("model")
    if {"posterior_predictive", "prior_predictive"} & set(result.children) and not x:
        return plots.predictive(result, *names)
    if not model:
        raise ValueError(
            "A picture of kind `predictive` runs the program again, but the result does not say which it is. Name it with "
            "`--model`, as for `bayesastro fit`."
        )
    problem = problem_named(model) if named else _noted(model)
    predicted = predict(problem, result, seed=SEED)
    if result.attrs.get("data_fingerprint", "") not in ("", data_fingerprint(problem.data)):
        raise ValueError(f"`{model}` has other data now than those that were fitted. Fit it again.")
    if x is None:
        return plots.predictive(predicted, *names)
    return plots.predictive(
        predicted, *names, x=_abscissae(problem, x), xlabel=plots.axis_label(x, problem.units.get(x, ""))
    )


def _noted(model: str) -> Problem:
    """The problem of a model that a result names, which may have moved since."""
    try:
        return problem_named(model)
    except (ValueError, TypeError) as error:
        told = (
            f"The result was fitted with `{model}`; if that has moved, say where it is with `--model module:function`."
        )
        raise ValueError(f"{error} {told}") from error


def _abscissae(problem: Problem, name: str) -> np.ndarray:
    known = problem.covariates
    if name not in known:
        raise ValueError(
            f"`--x {name}`: the program's array arguments are {', '.join(f'`{n}`' for n in known) or 'none'}. Name one."
        )
    return known[name]


def _only(results: dict[str, xr.DataTree], kind: str) -> xr.DataTree:
    """The result, if there is one."""
    if len(results) > 1:
        raise ValueError(f"A picture of kind `{kind}` is of one result, but {len(results)} came.")
    return next(iter(results.values()))


def _drawn(results: dict[str, xr.DataTree], kind: str, names: list[str]) -> Figure:
    first = next(iter(results.values()))
    if kind == "evidence":
        return plots.evidence(results)
    if kind == "corner":
        return plots.corner(results if len(results) > 1 else first, names or None)
    if kind == "calibration":
        raise ValueError("This is the result of a fit, and no calibration. Name another kind of picture.")
    _only(results, kind)
    if kind == "field":
        if len(names) != 1:
            raise ValueError("A picture of kind `field` needs one variable. Name it with `--var`.")
        return plots.field(first, names[0])
    return {"trace": plots.trace, "rank": plots.rank}[kind](first, names or None)
