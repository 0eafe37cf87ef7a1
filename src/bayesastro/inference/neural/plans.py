"""From a bank and the user's embeddings to a plan: what every observed site and argument is for."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bayesastro.inference.neural.embeddings import Embedding, SetEmbedding, default_for
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.sources import Source
from bayesastro.inference.neural.standardise import Standardisation, Transform, standardisation_of
from bayesastro.problem import Problem

__all__ = ["planned_summary"]


def planned_summary(
    bank: Source,
    problem: Problem,
    embeddings: Mapping[str, Embedding],
    transforms: Mapping[str, Transform],
    *,
    num_features: int | None,
    **architecture: Any,
) -> tuple[Standardisation, Plan]:
    """Standardisation and plan of a network that summarises the observed sites.

    Raises
    ------
    ValueError
        If a name is no observed site or argument, or a shape does not fit.
    """
    chosen, companions = _embeddings_for(bank, problem, embeddings, transforms)
    shared = {name: embedding.shared for name, embedding in chosen.items()}
    shared |= {name: (0,) for name in companions.features if name in bank.shapes}
    raw = [name for name in companions.masks if name in bank.shapes]
    scale = standardisation_of(bank, transforms, shared, raw)
    architecture["num_features"] = num_features or max(32, 2 * len(bank.labels))
    return scale, _plan_for(bank, problem, chosen, scale, architecture)


class _Companions(NamedTuple):
    """Arguments and observed sites that accompany the entries of sets."""

    features: tuple[str, ...]
    masks: tuple[str, ...]


def _embeddings_for(
    bank: Source, problem: Problem, given: Mapping[str, Embedding], transforms: Mapping[str, Transform]
) -> tuple[dict[str, Embedding], _Companions]:
    """An embedding for each observed site that accompanies no other, and what accompanies them."""
    for name in [*given, *transforms]:
        if name not in bank.shapes:
            raise ValueError(f"`{name}` is not observed in the bank; its observed sites are {list(bank.shapes)}.")
    sets = {name: e for name, e in given.items() if isinstance(e, SetEmbedding)}
    companions = _Companions(
        tuple(dict.fromkeys(f for e in sets.values() for f in e.features)),
        tuple(dict.fromkeys(e.mask for e in sets.values() if e.mask is not None)),
    )
    for name, embedding in sets.items():
        for companion in embedding.companions:
            _check_companion(bank, problem, name, companion)
    alone = [name for name in bank.shapes if name not in {*companions.features, *companions.masks} or name in given]
    chosen = {name: given[name] if name in given else default_for(bank.shapes[name]) for name in alone}
    for name, embedding in chosen.items():
        embedding.check(name, bank.shapes[name])
    return chosen, companions


def _check_companion(bank: Source, problem: Problem, site: str, name: str) -> None:
    shapes = {**{n: a.shape for n, a in problem.covariates.items()}, **bank.shapes}
    if name not in shapes:
        raise ValueError(
            f"The embedding of `{site}` names `{name}`, but the program's array arguments and observed sites are "
            f"{list(shapes)}."
        )
    wanted = bank.shapes[site][0]
    if not 1 <= len(shapes[name]) <= 2 or shapes[name][0] != wanted:
        raise ValueError(
            f"`{name}` is to accompany the {wanted} entries of `{site}`, but has shape {shapes[name]}. Give it one row "
            "for each entry."
        )


def _plan_for(
    bank: Source,
    problem: Problem,
    embeddings: Mapping[str, Embedding],
    scale: Standardisation,
    architecture: Mapping[str, Any],
) -> Plan:
    """The plan of a network. A site of which all values are the same is left out."""
    kept = {name: site.kept for name, site in scale.sites.items()}
    used = {name: e for name, e in embeddings.items() if kept[name].any()}
    arguments, masks = {}, {}
    for name, embedding in used.items():
        if not isinstance(embedding, SetEmbedding):
            continue
        mask = np.ones(bank.shapes[name][0], bool)
        if name in bank.masks:
            mask &= bank.masks[name].reshape(len(mask), -1).any(1)
        if embedding.mask is not None and embedding.mask not in bank.shapes:
            mask &= np.asarray(problem.covariates[embedding.mask], bool)
        masks[name] = mask
        for feature in embedding.features:
            if feature not in bank.shapes:
                arguments[feature] = _standardised(np.asarray(problem.covariates[feature], float), mask)
    return Plan(size=len(bank.labels), embeddings=used, kept=kept, masks=masks, arguments=arguments, **architecture)


def _standardised(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An argument by the mean and sd of the entries that count, 0 at the others."""
    real = array[mask]
    sd = real.std(0)
    return np.where(mask.reshape(-1, *(1,) * (array.ndim - 1)), (array - real.mean(0)) / np.where(sd > 0, sd, 1.0), 0.0)
