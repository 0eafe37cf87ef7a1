"""The benchmarks' harness: ratios point the right way, missing and failing peers are named, no workload takes others with it."""

import subprocess
import sys

import click.testing
import numpy as np
import pytest
from conftest import REPOSITORY

from benchmarks import __main__ as command
from benchmarks import peers
from benchmarks.harness import run_all
from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, entered

FAST = '''"""A fast one."""

from benchmarks.peers import Failure, Peer
from benchmarks.report import Ratio, Report


def run():
    absent = Peer("no-such-program")
    return Report(
        "| a | table |",
        (
            Ratio(quantity="draws a second", ours=30.0, peer=Peer("numpy"), theirs=20.0),
            Ratio(quantity="seconds", ours=30.0, peer=absent, theirs=absent.measured(lambda: 1.0), less_is_better=True),
        ),
    )
'''

CRASHES = {
    "raises": 'raise ValueError("no | data")',
    "exits": 'raise SystemExit("the folder is missing")',
    "dies": "import os\n    os._exit(3)",
    "does not import": "import no_such_module",
}


@pytest.fixture
def workloads(tmp_path, monkeypatch):
    """Two that work and, between them, those that do not."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "fake_first.py").write_text(FAST)
    (tmp_path / "fake_last.py").write_text(FAST)
    found = {"first": ("fake_first", "The first")}
    for i, (name, code) in enumerate(CRASHES.items()):
        (tmp_path / f"fake_{i}.py").write_text(f'"""One that {name}."""\n\n\ndef run():\n    {code}\n')
        found[name] = (f"fake_{i}", f"One that {name}")
    return found | {"last": ("fake_last", "The last")}


def rows(document, title):
    return [line for line in document.splitlines() if line.startswith(f"| {title} |")]


def test_failing_workloads_are_named_and_keep_the_others(workloads, tmp_path):
    out = tmp_path / "bench.md"
    assert run_all(workloads, out, "On a Sunday.") == list(CRASHES)
    document = out.read_text()
    for title in ("The first", "The last"):
        told, missing = rows(document, title)
        assert f"| draws a second | 30 | numpy {np.__version__} | 20 | 1.50 |" in told
        assert "| no-such-program | not installed: `make peers` | – |" in missing
        section = document.split(f"## {title}\n")[1].split("\n## ")[0]
        assert all(words in section for words in ("On a Sunday.", "A fast one.", "| a | table |", "bayesastro 0."))
    reasons = ("ValueError: no \\| data", "SystemExit: the folder", "BrokenProcessPool", "ModuleNotFoundError")
    for name, reason in zip(CRASHES, reasons, strict=True):
        (row,) = rows(document, f"One that {name}")
        assert reason in row
    assert document.index("## Ratios") < document.index("## The first") < document.index("## The last")


def test_ratios_are_above_one_where_ours_is_better():
    more = Ratio(quantity="", ours=3.0, peer="", theirs=2.0)
    less = Ratio(quantity="", ours=3.0, peer="", theirs=2.0, less_is_better=True)
    assert (more.value, less.value) == (1.5, pytest.approx(2 / 3))
    assert "(less)" in less.row("", "")
    assert "(less)" not in more.row("", "")
    assert "| 12,300 | " in Ratio(quantity="", ours=12345.0, peer="", theirs=1e-5).row("", "")


def test_entries_replace_their_own_and_keep_the_rest():
    row = "| {} | draws | {} | numpy | 1 | 1 | 2026 |"
    first = entered("", "A", "old words", [row.format("A", 1)], "a machine")
    both = entered(first, "B", "its words", [row.format("B", 2)], "a machine") + "\n## Notes\n\nby hand | kept\n"
    again = entered(both, "A", "new words", [row.format("A", 3), row.format("A", 4)], "another machine")
    assert rows(again, "A") == [row.format("A", 3), row.format("A", 4)]
    assert rows(again, "B") == rows(both, "B")
    assert "old words" not in again
    assert all(words in again for words in ("new words", "its words", "by hand | kept"))
    assert "a machine" not in again.replace("another machine", "")
    assert entered(again, "A", "new words", rows(again, "A"), "another machine") == again


def test_peers_that_fail_are_named_in_a_line():
    def fails():
        raise RuntimeError("first line\nsecond line")

    assert Peer("numpy").measured(fails) == Failure("failed: RuntimeError: first line")
    assert Peer("numpy").measured(lambda: 7) == 7
    assert Peer("numpy", "no-such-environment").measured(lambda: 7) == Failure("not installed: `make peers`")


def test_scripts_run_in_the_environment_of_their_peer(tmp_path, monkeypatch):
    """An environment of this interpreter, whose script gives back what it got."""
    (tmp_path / "own" / "bin").mkdir(parents=True)
    (tmp_path / "own" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "twice.py").write_text(
        "import sys\n"
        f"sys.path += {sys.path}\n"
        "import numpy as np\n"
        "given = np.load(sys.argv[1])\n"
        "if given['x'].sum() < 0:\n"
        "    raise ValueError('x is negative')\n"
        "np.savez(sys.argv[2], y=2 * given['x'])\n"
    )
    packages = tmp_path / "own" / "lib" / "python3.11" / "site-packages" / "peer-1.5.dist-info"
    packages.mkdir(parents=True)
    (packages / "METADATA").write_text("Metadata-Version: 2.1\nName: peer\nVersion: 1.5\n")
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(peers, "HERE", tmp_path)
    peer = Peer("peer", "own")
    assert str(peer) == "peer 1.5"
    np.testing.assert_array_equal(peer.run("twice.py", x=np.arange(3.0))["y"], [0.0, 2.0, 4.0])
    failure = peer.measured(lambda: peer.run("twice.py", x=np.array(-1.0)))
    assert failure == Failure("failed: RuntimeError: ValueError: x is negative")


def test_every_environment_has_its_pins_and_every_workload_a_module():
    for _, (module, _) in command.WORKLOADS.items():
        assert (REPOSITORY / (module.replace(".", "/") + ".py")).is_file()
    wanted = {path.stem for path in peers.HERE.glob("*.txt")}
    code = "".join(path.read_text() for path in (REPOSITORY / "benchmarks").glob("*.py"))
    assert wanted
    assert all(f', "{name}")' in code for name in wanted)


def test_help_lists_the_workloads():
    told = click.testing.CliRunner().invoke(command.main, ["--help"])
    assert told.exit_code == 0
    assert all(name in told.output and title in told.output for name, (_, title) in command.WORKLOADS.items())
    unknown = subprocess.run([sys.executable, "-m", "benchmarks", "nonsense"], cwd=REPOSITORY, capture_output=True)
    assert unknown.returncode == 2


def test_the_readmes_ratios_are_those_measured():
    """Each row of its table stands in the file of results."""
    results = (REPOSITORY / "benchmarks" / "RESULTS.md").read_text()
    table = (REPOSITORY / "README.md").read_text().split("| workload | quantity |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) >= 10
    assert all(row in results for row in table)
