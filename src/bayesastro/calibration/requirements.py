"""What checks by simulation require of an engine."""

from bayesastro.inference.engine import Engine

__all__ = ["require_whole_prior"]


def require_whole_prior(engine: Engine, function: str) -> None:
    """Raise if the engine serves a part of the prior only.

    Raises
    ------
    ValueError
    """
    if engine.is_local:
        raise ValueError(
            f"`{function}` draws from the whole prior, but this `{type(engine).__name__}` was trained on a part of it only. "
            "Train on a bank without `within=`, or, after `TMNRE`, ask `Marginals.coverage`."
        )
