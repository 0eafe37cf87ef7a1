"""Models and engines by their names on the command line."""

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bayesastro.commands.own import meant, mistakes_told, own_function, required
from bayesastro.commands.wording import in_options
from bayesastro.hints import did_you_mean
from bayesastro.inference import engines
from bayesastro.inference.engine import Engine
from bayesastro.models.catalogue import CATALOGUE, Entry
from bayesastro.problem import Problem
from bayesastro.result import load

__all__ = ["METHODS", "data_told", "engine_named", "method_named", "problem_named"]

METHODS = ("NPE", "NLE", "NRE")
"""Neural methods that learn from a bank of one program."""


def problem_named(model: str) -> Problem:
    """The problem of a model of the catalogue with its example's data, or of the function at ``module:function``.

    Raises
    ------
    ValueError
        If there is no such module or function, it has a mistake, the function needs arguments, or data are not those
        published.
    TypeError
        If it returns no `Problem`.
    OSError
        If data are missing.
    """
    if entry := _entry(model):
        return entry.problem()
    names = [entry.name for entry in CATALOGUE]
    if ":" not in model:
        hint = meant(model, names) or (
            " `bayesastro models` lists those of the package; one of your own is `module:function` of a function that "
            "returns a `Problem`."
        )
        raise ValueError(f"There is no model `{model}`.{hint}")
    build = own_function(model, names)
    if needed := required(build):
        raise ValueError(
            f"`{model}` needs data: {', '.join(f'`{name}`' for name in needed)}. Write a function without arguments that "
            "reads them and returns the `Problem`, and name it as `module:function`."
        )
    with mistakes_told():
        problem = build()
    if not isinstance(problem, Problem):
        raise TypeError(f"`{model}` must return a `Problem`, but {problem!r} came.")
    return problem


def data_told(model: str) -> str:
    """Which data a model of the catalogue takes, and whom to cite; empty for one's own."""
    entry = _entry(model)
    return f"Data: {entry.told()}" if entry else ""


def _entry(model: str) -> Entry | None:
    return next((entry for entry in CATALOGUE if entry.name == model), None)


def engine_named(name: str, options: Sequence[str]) -> Engine:
    """The engine of a name in any case, or of a folder of trained networks, with settings given as ``name=value``.

    Settings of a learnt likelihood are those of the engine that draws from it.

    Raises
    ------
    ValueError
        If there is no such engine or setting, it is out of range, or the folder holds no engine.
    """
    if not Path(name).is_dir():
        told = " A folder of trained networks is one too, see `bayesastro train`."
        chosen = _of_name(name, {engine.__name__.lower(): engine for engine in engines()}, "engine", told)
        return _made(chosen, options)
    trained = load(name)
    if not isinstance(trained, Engine):
        raise ValueError(f"`{name}` holds a `{type(trained).__name__}`, which is no engine.")
    inner = getattr(trained, "engine", None)
    changed = trained if inner is None else inner
    names = [f.name for f in fields(changed) if isinstance(getattr(changed, f.name), int | float | str)]
    settings = _settings(type(changed).__name__, names, options)
    with in_options(names):
        return replace(trained, **(settings if inner is None else {"engine": replace(inner, **settings)}))


def method_named(name: str, options: Sequence[str]) -> Any:
    """The neural method of a name in any case, `NPE`, `NLE` or `NRE`, with settings given as ``name=value``.

    Raises
    ------
    ValueError
        If there is no such method or setting.
    ImportError
        If torch is not installed.
    """
    method = _of_name(name, {method.lower(): method for method in METHODS}, "method")
    chosen = getattr(importlib.import_module(f"bayesastro.inference.neural.{method.lower()}"), method)
    return _made(chosen, options)


def _made(chosen: type[Any], options: Sequence[str]) -> Any:
    """An engine or method with its settings."""
    names = [f.name for f in fields(chosen)]
    settings = _settings(chosen.__name__, names, options)
    with in_options(names):
        return chosen(**settings)


def _of_name(name: str, known: Mapping[str, Any], what: str, more: str = "") -> Any:
    """What has the name, in any case."""
    if name.lower() not in known:
        listed, hint = ", ".join(f"`{n}`" for n in known), did_you_mean(name.lower(), known)
        raise ValueError(f"There is no {what} `{name}`; there are {listed}.{hint}{more}")
    return known[name.lower()]


def _settings(owner: str, names: Sequence[str], options: Sequence[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for option in options:
        key, is_given, value = option.partition("=")
        if not is_given or key not in names:
            hint = did_you_mean(key, names) if is_given else ""
            raise ValueError(
                f"`--set {option}`: give NAME=VALUE with a setting of `{owner}`: {', '.join(names)}.{hint}"
            )
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value  # a word
    return settings
