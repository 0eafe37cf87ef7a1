"""What ``bayesastro fit`` does: a model and an engine by name, a result and its pictures in a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

import xarray as xr

from bayesastro import plots
from bayesastro.commands.naming import engine_named, problem_named
from bayesastro.commands.reading import result_at
from bayesastro.commands.reporting import as_text, findings, rows
from bayesastro.commands.summarising import check_names, summary_of
from bayesastro.commands.wording import in_options
from bayesastro.commands.writing import Folder, begun
from bayesastro.diagnostics import diagnose
from bayesastro.drive import fit
from bayesastro.plots.corners import by_default
from bayesastro.precision import Precision
from bayesastro.result import legal_name

__all__ = ["run"]


def run(
    model: str,
    out: Path,
    *,
    engine: str,
    options: Sequence[str],
    start: Path | None,
    seed: int,
    time_limit: float | None,
    precision: Precision,
    log_likelihood: bool = False,
    names: Sequence[str] = (),
    progress: bool = True,
    json: bool = False,
    echo: Callable[[str], None] = print,
) -> xr.DataTree:
    """Fit a model named on the command line, or go on with the run that the folder holds; returns the result.

    Raises
    ------
    ValueError, TypeError
        If there is no such model, engine or setting, `fit` refuses, or the folder holds another run.
    OSError
        If the folder cannot be written to, or data of the model's example are missing.
    """
    chosen, problem = engine_named(engine, options), problem_named(model)  # which may read data
    sites = [*(site.name for site in problem.parameters), *problem.views().deterministics]
    check_names(names, map(legal_name, sites))
    folder, data = begun(out, model, json=json, echo=echo)
    with in_options(chosen.settings(), checkpoint="--out", start="--start", seed="--seed", precision="--precision"):
        result = fit(
            problem,
            chosen,
            seed=seed,
            start=None if start is None else result_at(start),
            checkpoint=out / "checkpoint",
            time_limit=time_limit,
            precision=precision,
            log_likelihood=log_likelihood,
            progress=progress,
        )
    result.attrs |= {"model": model} | ({} if start is None else {"start_file": str(start)})
    status, posterior = result.attrs["status"], result["posterior"]
    if not posterior.sizes.get("chain", 0) * posterior.sizes.get("draw", 0):
        nothing = {"model": model, "data": data, "status": status, "written": []}
        echo(as_text(nothing) if json else "There are no draws yet.")
        return result
    folder.keep(result, "result.nc")
    _keep_pictures(result, folder)
    table, diagnosis = summary_of(result, names), diagnose(result)
    facts = {
        "model": model,
        "data": data,
        "engine": result.attrs["engine"],
        "status": status,
        "log_evidence": None,
    }
    facts |= {name: result.attrs[name] for name in ("log_evidence", "log_evidence_err") if name in result.attrs}
    facts |= {"summary": rows(table), "findings": findings(diagnosis)}
    folder.tell(f"{problem}\n\n{table}\n\n{diagnosis}", facts, json=json, echo=echo)
    return result


def _keep_pictures(result: xr.DataTree, folder: Folder) -> None:
    """Those that the draws are enough for."""
    folder.keep(plots.trace(result), "trace.png")
    if by_default([result])[0]:
        folder.keep(plots.corner(result), "corner.png")
