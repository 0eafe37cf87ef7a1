"""What ``bayesastro plot`` does: one picture of one or several results."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from astropy.units import Quantity
from matplotlib.figure import Figure

from bayesastro import plots
from bayesastro.calibration.page import is_calibration, page_of
from bayesastro.commands.naming import problem_named
from bayesastro.commands.reading import results_of
from bayesastro.commands.wording import in_options
from bayesastro.fingerprint import data_fingerprint
from bayesastro.output import save_figure
from bayesastro.plots.variables import median_of, variable
from bayesastro.predictive import predict
from bayesastro.problem import Problem
from bayesastro.units import in_unit

__all__ = ["run"]

SEED = 1
"""Of predictions."""

MOST_NAMED = 3
"""Results in the name of a file."""


def run(
    paths: Sequence[Path],
    kind: str | None,
    out: Path | None,
    *,
    names: Sequence[str],
    model: str | None = None,
    x: str | None = None,
    period: str | None = None,
    epoch: str | None = None,
    echo: Callable[[str], None] = print,
) -> None:
    """Draw a picture of the results into a file.

    Parameters
    ----------
    kind : str, optional
        By default ``"corner"``; of a calibration its page, the one picture that it has.
    out : Path, optional
        By default in this folder, after the results, as the legend has them, and the kind: ``fit-corner.png``.
    model : str, optional
        That predictions are of; by default the one that `fit` noted in the result.
    x : str, optional
        Argument of the program to draw predictions over.
    period, epoch : str, optional
        To fold `x` with: numbers, or scalars of the posterior, of which the median is taken.

    Raises
    ------
    ValueError, TypeError, OSError
        If a result cannot be read, the picture is of one result and several came, or it refuses; or if there is no such model,
        or it has other data than those fitted.
    """
    matplotlib.use("Agg")
    results = results_of(paths)
    if (model or x or period or epoch) and kind != "predictive":
        raise ValueError("`--model`, `--x`, `--period` and `--epoch` are for predictions. Add `--kind predictive`.")
    if (period and not x) or (epoch and not period):
        raise ValueError("`--period` folds what `--x` names, from `--epoch` on. Add `--x` and `--period`.")
    with in_options(var_names="--var"):
        if kind == "predictive":
            figure = _predictive(_only(results, kind), list(names), model, x, period=period, epoch=epoch)
        elif any(is_calibration(result) for result in results.values()):
            figure = _page(results, kind, names)
        else:
            figure = _drawn(results, kind or "corner", list(names))
    is_page = kind is None and is_calibration(next(iter(results.values())))
    out = out or Path(_file_name(list(results), kind or ("calibration" if is_page else "corner")))
    save_figure(figure, out)
    echo(f"Written: {out}")


def _file_name(names: Sequence[str], kind: str) -> str:
    """Of a picture of these results; those of many are not all named."""
    stem = "-".join(names) if len(names) <= MOST_NAMED else f"{names[0]}-and-{len(names) - 1}-more"
    return f"{stem}.png" if stem == kind else f"{stem}-{kind}.png"


def _page(results: dict[str, xr.DataTree], kind: str | None, names: Sequence[str]) -> Figure:
    if kind not in (None, "calibration") or names or len(results) > 1:
        raise ValueError(
            "A calibration has one picture, its page. Draw it without `--kind` and `--var`, and without other results."
        )
    return page_of(next(iter(results.values())))


def _predictive(
    result: xr.DataTree, names: list[str], model: str | None, x: str | None, **folding: str | None
) -> Figure:
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
    is_same_program = result.attrs.get("program_fingerprint") == problem.fingerprint  # if not, `predict` refuses
    if is_same_program and result.attrs.get("data_fingerprint", "") not in ("", data_fingerprint(problem.data)):
        raise ValueError(f"`{model}` has other data now than those that were fitted. Fit it again.")
    if x is None:
        return plots.predictive(predict(problem, result, seed=SEED), *names)
    unit = problem.units.get(x, "")
    drawn = {"x": _abscissae(problem, x), "xlabel": "" if folding["period"] else plots.axis_label(x, unit)}
    drawn |= {name: _number(result, value, unit) for name, value in folding.items() if value}
    return plots.predictive(predict(problem, result, seed=SEED), *names, **drawn)


def _number(result: xr.DataTree, text: str, unit: str) -> float:
    """A number, or the posterior median of the scalar named, in a unit."""
    with suppress(ValueError):
        return float(text)
    value, own = median_of(result, text), str(variable(result, text).attrs.get("units", ""))
    return float(in_unit(Quantity(value, own), unit, text)) if own and unit else value


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
        if names:
            raise ValueError("A picture of kind `evidence` has no variables. Draw it without `--var`.")
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
