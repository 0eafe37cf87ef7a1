"""Functions of one's own on the command line: names that are near, and mistakes in one line with file and line."""

from pathlib import Path

import pytest

MODEL = """
import numpy as np, numpyro, numpyro.distributions as dist
import bayesastro as ba


def program():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(a, 1.0))


def build():
    return ba.Problem(program, observed={"y": 0.5})


def build_nothing():
    return ba.Problem(program, observed={"z": 0.5})


def misspelt():
    return {"K": 1.0}["Kay"]


def mismatched():
    return np.zeros(3) + np.zeros(4)


def unread():
    return ba.Problem(program, observed={"y": np.load("absent.npy")})
"""


@pytest.fixture
def run(command_in_module):
    """`bayesastro fit`, in a folder with the module `planet`."""
    fit = command_in_module("planet", MODEL)
    return lambda *arguments: fit("fit", *arguments)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("planett:build", "There is no module `planett`. Did you mean `planet:build`?"),
        ("planett", "There is no model `planett`. Did you mean `planet:build`?"),
        ("sirius:build", "There is no module `sirius`. The folder has `planet`."),
        (
            "planet",
            "There is no model `planet`. A colon stands between a module and its function that returns the `Problem`: "
            "`planet:build`.",
        ),
        (
            "./planet.py:unread",
            "There is no module `./planet.py`. A colon stands between a module and its function that returns the `Problem`: "
            "`planet:unread`.",
        ),
        (
            "planet.build",
            "There is no model `planet.build`. A colon stands between a module and its function: `planet:build`.",
        ),
        ("planet:biuld", "There is no function `biuld` in `planet`. Did you mean `build`?"),
        ("planet:xyzzy", "There is no function `xyzzy` in `planet`. Name a function that returns a `Problem`."),
        ("cosmology.boa", "There is no model `cosmology.boa`. Did you mean `cosmology.bao`?"),
        ("cosmology.bao:build", "There is no module `cosmology.bao`. Did you mean `cosmology.bao`?"),
        ("Tripp", "There is no model `Tripp`. Did you mean `cosmology.tripp`?"),
        (
            "xyzzy",
            "There is no model `xyzzy`. `bayesastro models` lists those of the package; one of your own is "
            "`module:function` of a function that returns a `Problem`.",
        ),
    ],
)
def test_a_name_that_is_no_model_is_told_what_it_may_have_meant(run, model, told):
    assert run(model) == (1, "", f"bayesastro: {told}\n")


def test_the_function_of_a_module_is_found_by_its_name_or_as_the_only_one(command_in_module):
    fit = command_in_module("stars", "def made():\n    ...\n\n\ndef helped(x):\n    ...\n")
    assert "`stars:made`" in fit("fit", "stars")[2]
    fit = command_in_module("stars", "def made(:\n")
    assert "`stars:build`" in fit("fit", "stars")[2]


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("misspelt", "`planet.py`, line 20: KeyError: 'Kay'. Add `--debug` for the traceback."),
        (
            "mismatched",
            "`planet.py`, line 24: ValueError: operands could not be broadcast together with shapes (3,) (4,). "
            "Add `--debug` for the traceback.",
        ),
        ("build_nothing", "`observed` names `z`, but the program has no such site; it has `a`, `y`."),
    ],
)
def test_a_mistake_in_ones_own_function_is_told_by_line_and_a_refusal_as_it_is(run, function, told):
    assert run(f"planet:{function}") == (1, "", f"bayesastro: {told}\n")


READ = {
    "by NumPy": 'np.load("absent.npy")',
    "as text": 'np.loadtxt("absent.npy")',
    "by Python": 'open("absent.npy")',
    "by astropy": 'Table.read("absent.npy", format="ascii.csv")',
    "by the package": 'read_light_curve_text("absent.npy")',
}


@pytest.mark.parametrize("way", READ)
def test_a_data_file_that_is_not_there_is_told_with_line_and_folder(command_in_module, way):
    reader = "from bayesastro.datasets.transit_light_curves import read_light_curve_text"
    text = f"import numpy as np\nfrom astropy.table import Table\n{reader}\n\n\ndef build():\n    {READ[way]}\n"
    found = command_in_module("reads", text)("fit", "reads:build")
    line = text.count("\n")
    assert found == (
        1,
        "",
        f"bayesastro: `reads.py`, line {line}, needs the file `absent.npy`, which is not there: the command runs in "
        f"`{Path.cwd()}`. Run it where the file is, or give the whole path.\n",
    )


def test_a_data_file_beside_the_module_or_named_in_full_is_told_otherwise(command_in_module, tmp_path):
    Path("inner").mkdir()
    Path("inner/near.txt").touch()
    Path("inner/reads.py").write_text("def build():\n    open('near.txt')\n")
    fit = command_in_module("other", "def build():\n    open('/nowhere/far.txt')\n")
    assert '`Path(__file__).parent / "near.txt"`' in fit("fit", "inner.reads:build")[2]
    assert fit("fit", "other:build")[2].endswith(
        "needs the file `/nowhere/far.txt`, which is not there. Correct its name.\n"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "x = 1\ny = (1,\n",
            "`broken.py`, line 2: SyntaxError: '(' was never closed. Add `--debug` for the traceback.",
        ),
        (
            "import nothing_of_this_name\n",
            "`broken.py`, line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'. Add `--debug` for the "
            "traceback.",
        ),
        ("table = {}\n\ntable['K']\n", "`broken.py`, line 3: KeyError: 'K'. Add `--debug` for the traceback."),
        ("assert False\n", "`broken.py`, line 1: AssertionError. Add `--debug` for the traceback."),
    ],
)
def test_a_module_with_a_mistake_is_one_line(command_in_module, text, told):
    fit = command_in_module("broken", text)
    assert fit("fit", "broken:build") == (1, "", f"bayesastro: {told}\n")


def test_debug_shows_the_traceback_wherever_it_stands(run):
    with pytest.raises(ValueError, match=r"line 20: KeyError") as caught:
        run("planet:misspelt", "--debug")
    assert isinstance(caught.value.__cause__, KeyError)
