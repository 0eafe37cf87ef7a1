"""What makes the rows of a bank, and in what two banks, or a bank and a problem, differ."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bayesastro.fingerprint import array_fingerprint
from bayesastro.precision import Precision
from bayesastro.problem import Problem

__all__ = ["differences", "fingerprint_of", "identity_of", "program_identity_of"]


def identity_of(
    problem: Problem, seed: int | None, precision: Precision, within: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What makes the rows of a bank. JSON-serialisable; observed values do not count.

    Parameters
    ----------
    problem : Problem
    seed : int or None
        None for rows that were given.
    precision : {"double", "single"}
    within : mapping of str to list, optional
        Bounds of latent sites, as JSON has them.
    """
    return program_identity_of(problem) | {"seed": seed, "precision": precision, "within": dict(within or {})}


def program_identity_of(problem: Problem) -> dict[str, Any]:
    """The part of it that all banks of a program and its arguments share."""
    sites = problem.views().structure.of_kind("latent", "observed")
    return {
        "program": getattr(problem.program, "__name__", type(problem.program).__name__),
        "program_fingerprint": problem.fingerprint,
        "arguments": {name: array_fingerprint(array) for name, array in problem.covariates.items()},
        "sites": {site.name: f"{site.kind} {site.family} {list(site.shape)}" for site in sites},
    }


def fingerprint_of(identity: Mapping[str, Any]) -> str:
    """SHA-256 of program and arguments."""
    parts = json.dumps([identity["program_fingerprint"], identity["arguments"]], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """In what two identities differ, in words; the entries that one of them lacks do not count."""
    said = []
    there, here = found["arguments"], wanted["arguments"]
    changed = [f"`{name}`" for name in {**there, **here} if there.get(name) != here.get(name)]
    if changed:
        said.append(f"another value of the argument {', '.join(changed)}")
    if found["program_fingerprint"] != wanted["program_fingerprint"]:
        there, here = found["sites"], wanted["sites"]
        names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
        told = [f"`{n}` {there.get(n, 'absent')} there, {here.get(n, 'absent')} here" for n in names]
        same = f"`{found['program']}`, with the same sites: a prior, an equation or a setting differs"
        said.append(f"another program ({'; '.join(told) or same})")
    if "within" in wanted and found["within"] != wanted["within"]:
        said.append(f"other bounds of the prior ({found['within'] or 'none'} there, {wanted['within'] or 'none'} here)")
    for name in ("seed", "precision"):
        if name in wanted and found[name] != wanted[name]:
            there = "rows that were given" if name == "seed" and found[name] is None else f"`{found[name]}`"
            said.append(f"another `{name}` ({there} there, `{wanted[name]}` here)")
    return said
