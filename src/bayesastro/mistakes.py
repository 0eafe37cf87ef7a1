"""Mistakes within a program, told by the line where they are: what JAX and NumPyro say there is about their own workings.

A program is traced: its sampled sites and the arrays among its arguments stand for all values that they may have. Python's ``if``,
functions of NumPy and sizes that depend on them cannot work there, and JAX has other words for each.
"""

import linecache
import re
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesastro.hints import did_you_mean, shortened

if TYPE_CHECKING:
    from bayesastro.program import Program

__all__ = ["PACKAGE", "explained", "own_frames", "shown_path"]

PACKAGE = Path(__file__).parent

OTHERS = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""Folders of what is installed, whose lines are not the user's."""


Told = tuple[type[Exception], str]
"""The kind of error to raise, and the sentence without its line."""


@contextmanager
def explained(program: "Program", shapes: Sequence[tuple[int, ...]]) -> Iterator[None]:
    """Tell a mistake within the program in a sentence with its line and a remedy.

    To errors of other kinds the line is added, and the shapes of the arrays that the program ran on.

    Raises
    ------
    TypeError
        If the program treats a traced value as a plain number.
    ValueError
        If shapes do not fit together, or a name of a site stands twice.
    """
    before = _noise()
    try:
        yield
    except Exception as error:
        frames = own_frames(error, program.function)
        line = (frames[-1].line if frames else "") or ""
        ran_on = ", ".join(f"`{name}` {shape}" for name, shape in zip(program.array_names, shapes, strict=True))
        told = _told(error, frames, line, ran_on)
        if told:
            kind, sentence = told
            raise kind(f"{_place(program.function, frames)}{sentence}") from None
        error.add_note(
            f"This came from the program `{_name(program.function)}`, run on the arguments {ran_on or 'without arrays'}"
            f"{line and f', in the line `{line}`'}. Arrays are traced by JAX there: pass sizes and flags as Python numbers."
        )
        raise
    if _noise() != before:
        warnings.warn(
            f"The program `{_name(program.function)}` draws with `numpy.random`, which it does once, while it is traced: the numbers "
            "are then the same ever after. Make noise a `numpyro.sample` site; pass what is fixed as an argument.",
            UserWarning,
            stacklevel=2,
        )


def own_frames(error: BaseException, function: Callable[..., Any] | None = None) -> list[traceback.FrameSummary]:
    """Frames of the user's own files that an error came through, and of the file (or cell) that holds a function."""
    home = getattr(getattr(function, "__code__", None), "co_filename", None)
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == home or _is_own(frame.filename)
    ]


def shown_path(file: str) -> str:
    """A file's path as a user knows it: from the present folder if it is there."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _is_own(file: str) -> bool:
    path = Path(file)
    return path.is_file() and not any(path.is_relative_to(folder) for folder in (PACKAGE, *OTHERS))


def _noise() -> tuple[int, bytes]:
    """The state of NumPy's own generator."""
    state: Any = np.random.get_state(legacy=False)
    return state["state"]["pos"], state["state"]["key"].tobytes()


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))


def _place(function: Callable[..., Any], frames: Sequence[traceback.FrameSummary]) -> str:
    """The line that a sentence is about, with a colon."""
    if not frames:
        return f"In the program `{_name(function)}`: "
    last = frames[-1]
    file = f"`{shown_path(last.filename)}`, " if Path(last.filename).is_file() else ""
    return f"{file}line {last.lineno}, `{shortened(last.line or '')}`: "


def _told(error: Exception, frames: Sequence[traceback.FrameSummary], line: str, ran_on: str) -> Told | None:
    """What to say of an error; None of what is no known mistake."""
    if shapes := _shapes(error, frames, ran_on):
        return ValueError, shapes
    text = str(error)
    for kind, pattern, says in _MISTAKES:
        if isinstance(error, kind) and (found := re.search(pattern, text)):
            return says(found, line)
    return None


def _shapes(error: Exception, frames: Sequence[traceback.FrameSummary], ran_on: str) -> str:
    """What to say of shapes that do not fit; empty where the error is of another kind."""
    found = re.search(r"ncompatible shapes for broadcasting: (?:shapes=)?\[?(.*?)\]?\.?$", str(error))
    if found is None:
        return ""
    shapes = ", ".join(re.findall(r"\([\d, ]*\)", found[1]))
    given = f" The arrays among its arguments are {ran_on}." if ran_on else ""
    site = _site(frames[-1]) if frames else "the "
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner, names = frame.f_locals.get("self"), frame.f_code.co_varnames[1 : frame.f_code.co_argcount]
        if isinstance(owner, numpyro.plate) and "msg" in frame.f_locals:
            message = frame.f_locals["msg"]
            return (
                f"site `{message['name']}` has shape {tuple(message['fn'].batch_shape)}, but the plate `{owner.name}` holds "
                f"{owner.size}. Give the plate the length of the data, such as `len(x)`.{given}"
            )
        if isinstance(owner, dist.Distribution) and frame.f_code.co_name == "__init__":
            parts = {name: frame.f_locals[name] for name in names if hasattr(frame.f_locals.get(name), "shape")}
            told = ", ".join(f"`{name}` {tuple(part.shape)}" for name, part in parts.items())
            return (
                f"{site}`{type(owner).__name__}` has parameters of shapes that do not fit together: {told or shapes}. "
                f"Give them one length.{given}"
            )
    return f"arrays of shapes {shapes} do not fit together. Give them one length.{given}"


def _site(frame: traceback.FrameSummary) -> str:
    """Whose distribution a line makes, as its source says, also where the call of `sample` began some lines above."""
    last = frame.lineno or 1
    lines = linecache.getlines(frame.filename)[max(0, last - LINES_ABOVE) : last]
    for place in range(len(lines) - 1, -1, -1):
        if found := re.search(r"""\bsample\(\s*(?:name=)?["'](.+?)["']""", "".join(lines[place:])):
            above = "".join(lines[place:-1])
            is_open = above.count("(") > above.count(")")
            return f"site `{found[1]}`: its " if place == len(lines) - 1 or is_open else "the "
    return "the "


LINES_ABOVE = 8
"""That a call may have been written over."""


def _condition(found: re.Match[str], line: str) -> Told:
    if re.search(r"\bplate\(", line):
        return _size(found, line)
    return TypeError, (
        "`if`, `while`, `and`, `not`, `min` and `max` need a value that is known before the program runs, but what comes of "
        "sampled sites and array arguments is not. Write `jnp.where(condition, a, b)` or `jnp.maximum(a, b)`, and pass flags as "
        "Python's True and False."
    )


def _of_numpy(found: re.Match[str], line: str) -> Told:
    names = [name for name in re.findall(r"\b(?:np|numpy)\.(\w+)", line) if hasattr(jnp, name)]
    remedy = (
        f"Write `jnp.{names[0]}` (of `jax.numpy`) for `np.{names[0]}`"
        if names
        else "Write it in `jax.numpy` or `jax.scipy`"
    )
    return TypeError, (
        f"NumPy, SciPy and astropy cannot compute with sampled sites and array arguments, which JAX traces. {remedy}, or make a "
        "function of theirs callable with `bayesastro.external`."
    )


def _number(found: re.Match[str], line: str) -> Told:
    return TypeError, (
        "`float`, `int`, `.item()`, `round` and functions of `math` need a number that is known before the program runs, but what "
        "comes of sampled sites and array arguments is not. Leave the array as it is, and write functions of `jax.numpy` for those "
        "of `math`, and `jnp.floor(a).astype(int)` for `int(a)`."
    )


def _size(found: re.Match[str], line: str) -> Told:
    return TypeError, (
        "sizes, ranges and slices must be known before the program runs, but what comes of sampled sites and array arguments is "
        "not. Pass a size as a Python `int`, such as `len(x)`, and take entries with `jnp.take` or `jnp.where`."
    )


def _selection(found: re.Match[str], line: str) -> Told:
    return TypeError, (
        "an array selected by a condition has a length that is not known before the program runs. Select the data before they go "
        "into `Problem`, leave entries out of the likelihood with `numpyro.handlers.mask(mask=condition)`, or write "
        "`jnp.where(condition, a, b)`."
    )


def _assignment(found: re.Match[str], line: str) -> Told:
    return TypeError, (
        "entries of arrays cannot be assigned in a program that JAX traces. Write `a = a.at[i].set(value)` with an array of "
        "`jax.numpy`, or `jnp.stack([...])`."
    )


def _printed(found: re.Match[str], line: str) -> Told:
    return TypeError, (
        "a sampled site or array argument has no value to be formatted while the program is traced. Print it with "
        "`jax.debug.print`, or look at draws from `problem.simulate`."
    )


def _twice(found: re.Match[str], line: str) -> Told:
    return ValueError, (
        f"the name of the site `{found[1]}` stands twice in the program. Give each `numpyro.sample` and `numpyro.deterministic` a "
        f'name of its own, in a loop by `f"{found[1]}_{{i}}"`; or draw all at once in a `numpyro.plate`.'
    )


def _no_distribution(found: re.Match[str], line: str) -> Told:
    came = {"DistributionMeta": "a class of them", "str": "a string", "": "nothing"}.get(found[1], f"a `{found[1]}`")
    return TypeError, (
        f"`numpyro.sample` needs a name and a distribution of `numpyro.distributions`, but {came} came in its place. Write "
        '`numpyro.sample("name", dist.Normal(0.0, 1.0))`.'
    )


def _unknown_parameter(found: re.Match[str], line: str) -> Told | None:
    family = getattr(dist, found[1], None)
    if family is None:
        return None
    known = list(family.arg_constraints)
    return TypeError, (
        f"`{found[1]}` has no parameter `{found[2]}`. It has {', '.join(f'`{name}`' for name in known)}."
        f"{did_you_mean(found[2], known)}"
    )


def _sequence(found: re.Match[str], line: str) -> Told:
    return TypeError, (
        "a string, a list or a tuple stands where an array is needed, or is indexed by one. Pass numbers as arrays, with `np.asarray`."
    )


def _operand(found: re.Match[str], line: str) -> Told:
    other = next(name for name in found.groups() if "Tracer" not in name)
    if other.endswith(("Unit", "UnitBase", "Quantity")):
        return TypeError, (
            "units have no place within the program, where JAX computes with plain numbers. Leave it out, and say in which unit an "
            "argument or a site is by `Problem(..., units={...})`."
        )
    cause = {"NoneType": "None, of an argument or of a function without `return`,"}.get(other, f"a `{other}`")
    return TypeError, (
        f"{cause} stands where an array is needed. Pass numbers as arrays, with `np.asarray`, and look whether a function returns one."
    )


_MISTAKES: tuple[tuple[type[Exception], str, Callable[[re.Match[str], str], Told | None]], ...] = (
    (jax.errors.TracerBoolConversionError, "", _condition),
    (jax.errors.TracerArrayConversionError, "", _of_numpy),
    (jax.errors.NonConcreteBooleanIndexError, "", _selection),
    (
        jax.errors.ConcretizationTypeError,
        "jnp.(nonzero|where|unique|flatnonzero|argwhere|union1d|setdiff1d)",
        _selection,
    ),
    (jax.errors.TracerIntegerConversionError, "", _size),
    (jax.errors.ConcretizationTypeError, "", _number),
    (TypeError, "Shapes must be 1D sequences of concrete", _size),
    (IndexError, "Slice entries must be static", _size),
    (TypeError, "JAX arrays are immutable", _assignment),
    (ValueError, "setting an array element with a sequence", _assignment),
    (TypeError, r"unsupported format string passed to \w*Tracer", _printed),
    (AssertionError, "all sites must have unique names but got `(.*)` duplicated", _twice),
    (TypeError, "Invalid type for 'fn'.*but received (\\w+)", _no_distribution),
    (TypeError, r"sample\(\) missing 1 required positional argument: 'fn'()", _no_distribution),
    (TypeError, r"^(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", _unknown_parameter),
    (TypeError, "^Only integer scalar arrays can be converted to a scalar (index)", _sequence),
    (TypeError, r"unsupported operand type\(s\) for .*: '(\w*Tracer)' and '(\w+)'", _operand),
    (TypeError, r"unsupported operand type\(s\) for .*: '(\w+)' and '(\w*Tracer)'", _operand),
)
"""Kinds of errors with a part of their text, and the sentence for each; the first that fits."""
