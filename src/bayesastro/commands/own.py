"""Functions of one's own by name, ``module:function``: found in the folder, called, and mistakes in them told by line."""

import ast
import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from bayesastro.hints import did_you_mean
from bayesastro.mistakes import PACKAGE, own_frames, shown_path

__all__ = ["meant", "mistakes_told", "own_function", "required"]

MOST_NAMED = 8
"""Modules of a folder that a message lists."""

VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def own_function(model: str, catalogue: list[str]) -> Callable[..., Any]:
    """The function at ``module:function``, with the present folder on the path, as `python -m` has it.

    Raises
    ------
    ValueError
        If there is no such module or function, or the module has a mistake, which is told by file and line.
    """
    module, _, function = model.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    found = None
    if all(part.isidentifier() for part in module.split(".")):
        try:
            with mistakes_told():
                found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise  # the module is there, and what it imports is not
    if found is None:
        raise ValueError(f"There is no module `{module}`.{meant(model, catalogue) or _modules_told()}")
    build = getattr(found, function, None)
    if callable(build):
        return build
    callables = [name for name, value in vars(found).items() if getattr(value, "__module__", None) == module]
    hint = did_you_mean(function, callables) or " Name a function that returns a `Problem`."
    raise ValueError(f"There is no function `{function}` in `{module}`.{hint}")


def meant(model: str, catalogue: list[str]) -> str:
    """What a name that is no model may have meant, as a sentence or two with a space before them; empty if nothing is near."""
    module, _, function = model.partition(":")
    module = module.removeprefix("./").removesuffix(".py").replace("/", ".")
    folder = _modules()
    whole, _, last = module.rpartition(".")
    if module in folder:
        name = function or _builder(folder[module])
        return f" A colon stands between a module and its function that returns the `Problem`: `{module}:{name}`."
    if whole in folder and not function:
        return f" A colon stands between a module and its function: `{whole}:{last}`."
    near = {name.rpartition(".")[2]: name for name in catalogue} | {name: name for name in catalogue}
    near |= {name: f"{name}:{function or _builder(path)}" for name, path in folder.items()}
    found = difflib.get_close_matches(module.lower(), near, n=1)
    return f" Did you mean `{near[found[0]]}`?" if found else ""


def required(build: Callable[..., Any]) -> list[str]:
    """Names of the arguments that a function cannot do without; none of what is written in C and has no signature."""
    try:
        parameters = signature(build).parameters.values()
    except ValueError:
        return []
    return [p.name for p in parameters if p.default is p.empty and p.kind not in VARIADIC]


@contextmanager
def mistakes_told() -> Iterator[None]:
    """Tell a mistake in the user's own code by file, line and error; what the package itself refuses passes through.

    Raises
    ------
    ValueError
    """
    try:
        yield
    except Exception as error:
        if absent := _absent(error):
            raise ValueError(absent) from error
        place = _place(error)
        if place is None:
            raise
        file, line = place
        message = error.msg if isinstance(error, SyntaxError) else next(iter(str(error).strip().splitlines()), "")
        what = f"{type(error).__name__}: {message}" if message else type(error).__name__
        raise ValueError(
            f"`{shown_path(file)}`, line {line}: {what.rstrip('.')}. Add `--debug` for the traceback."
        ) from error


def _absent(error: Exception) -> str:
    """What to say of a data file that the user's own code opens and that is not there; empty of other errors.

    NumPy leaves the name to its message; the package's own refusals say more than a name, and are left as they are.
    """
    own = own_frames(error)
    if not isinstance(error, FileNotFoundError) or not own:
        return ""
    by_numpy = re.fullmatch(r"(.+) not found\.", str(error))
    name = error.filename or (by_numpy[1] if by_numpy else None)
    if name is None:
        return ""
    file, place = Path(os.fsdecode(name)), own[-1]
    if file.is_absolute():
        remedy = ". Correct its name."
    elif (Path(place.filename).parent / file).exists():
        remedy = (
            f": the command runs in `{Path.cwd()}`. It is beside the module: write "
            f'`Path(__file__).parent / "{file}"`, with `from pathlib import Path`.'
        )
    else:
        remedy = f": the command runs in `{Path.cwd()}`. Run it where the file is, or give the whole path."
    return f"`{shown_path(place.filename)}`, line {place.lineno}, needs the file `{file}`, which is not there{remedy}"


def _place(error: Exception) -> tuple[str, int | None] | None:
    """File and line of the user's that an error comes from; None if there is none, or the package refused."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    refusals = (ValueError, TypeError, OSError, ImportError)
    if isinstance(error, refusals) and Path(frames[-1].filename).is_relative_to(PACKAGE):
        return None
    own = own_frames(error)
    return (own[-1].filename, own[-1].lineno) if own else None


def _modules() -> Mapping[str, Path]:
    """Modules of the present folder, and of the packages in it, by name."""
    files = [path for pattern in ("*.py", "*/*.py") for path in sorted(Path().glob(pattern))]
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    return {name: path for name, path in names.items() if all(part.isidentifier() for part in name.split("."))}


def _modules_told() -> str:
    names = [f"`{name}`" for name in _modules() if "." not in name]
    if not names:
        return (
            " The folder has no Python file; name a model of the package (`bayesastro models`), or go where yours is."
        )
    more = ", …" if len(names) > MOST_NAMED else ""
    return f" The folder has {', '.join(names[:MOST_NAMED])}{more}."


def _builder(path: Path) -> str:
    """The function of a file that returns the problem, by its name, or as the only one without arguments."""
    try:
        functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, OSError):
        return "build"
    bare = [f.name for f in functions if len(f.args.posonlyargs + f.args.args) == len(f.args.defaults)]
    return bare[0] if len(bare) == 1 and "build" not in {f.name for f in functions} else "build"
