"""What ``bayesastro crosscheck`` does: one model by several engines, and whether they agree."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bayesastro.agreement import crosscheck
from bayesastro.commands.naming import engine_named, problem_named
from bayesastro.commands.reporting import findings, rows
from bayesastro.commands.writing import begun

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
    chosen, problem = [engine_named(name, []) for name in engines], problem_named(model)  # which may read data
    folder, data = begun(out, model, json=json, echo=echo)
    agreement = crosscheck(problem, chosen, seed=seed, progress=progress)
    for name, result in agreement.results.items():
        folder.keep(result, f"{name}.nc")
    folder.keep(agreement.plot(), "agreement.png")
    facts = {"data": data, "verdict": agreement.verdict, "pairs": rows(agreement.summary())}
    facts["findings"] = {name: findings(diagnosis) for name, diagnosis in agreement.diagnoses.items()}
    folder.tell(str(agreement), facts, json=json, echo=echo)
    return agreement.verdict
