"""What ``bayesastro train`` does: simulations of a model, and networks that learn its posteriors from them."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from bayesastro.banks.simulation import simulate
from bayesastro.commands.naming import method_named, problem_named
from bayesastro.commands.wording import in_options
from bayesastro.commands.writing import Folder

__all__ = ["run"]


def run(
    model: str,
    out: Path,
    *,
    method: str,
    options: Sequence[str],
    num: int,
    seed: int,
    progress: bool = True,
    json: bool = False,
    echo: Callable[[str], None] = print,
) -> None:
    """Simulate a model named on the command line and train networks, or go on with the simulations that the folder holds.

    Raises
    ------
    ValueError, TypeError
        If there is no such model, method or setting, the model does not simulate, or the folder holds other simulations.
    OSError
        If the folder cannot be written to, or data of the model's example are missing.
    ImportError
        If torch is not installed.
    KeyboardInterrupt
        If the simulations were interrupted, or training before its first epoch was over.
    """
    chosen, problem = method_named(method, options), problem_named(model)  # which may read data
    folder = Folder(out)
    _check_place(out / "network")
    with in_options((f.name for f in fields(chosen)), path="--out", num="--num", seed="--seed"):
        bank = simulate(problem, num, seed=seed, path=out / "bank", progress=progress)
        if len(bank) < num:
            raise KeyboardInterrupt(f"The simulations were stopped at {len(bank)} of {num}.")
        trained = chosen.train(problem, bank, seed=seed, progress=progress)
    trained.save(out / "network")
    folder.names += ["bank", "network"]
    histories = [
        {
            "epochs": len(history.training),
            "best_epoch": history.best_epoch + 1,
            "validation_loss": history.best,
            "ended": history.ended,
            "seconds": history.seconds,
        }
        for history in trained.trained.histories
    ]
    facts = {"model": model, "method": type(chosen).__name__, "simulations": len(bank), "networks": histories}
    lines = [
        f"network {i}: validation loss {h['validation_loss']:.4g} in epoch {h['best_epoch']} of {h['epochs']}, ended by {h['ended']}"
        for i, h in enumerate(histories, 1)
    ]
    use = f"To use it: bayesastro fit {model} --engine {out / 'network'}"
    folder.tell("\n".join([str(bank), *lines, use]), facts, json=json, echo=echo)


def _check_place(network: Path) -> None:
    """Raise before anything runs if the networks could not be saved."""
    from bayesastro.inference.neural.artefact import check_place  # which loads torch

    try:
        check_place(network)
    except FileExistsError as error:
        raise FileExistsError(f"{error} Name it with `--out`.") from error
