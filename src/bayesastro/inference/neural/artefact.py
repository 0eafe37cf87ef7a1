"""Trained networks on disk: a folder that is verified when it is read, and holds no code.

* ``weights.safetensors``: weights of all networks, and the arrays of standardisation and architecture.
* ``spec.json``: architecture, settings, whose simulations, history, versions, and SHA-256 of the other two files.
* ``selftest.npz``: simulations with their log-probabilities, which must come out again.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from bayesastro._version import __version__
from bayesastro.inference.neural.familiarity import Familiarity
from bayesastro.inference.neural.kinds import network_of, trained_class
from bayesastro.inference.neural.network import Plan
from bayesastro.inference.neural.standardise import SiteScale, Standardisation
from bayesastro.inference.neural.trained import Trained
from bayesastro.inference.neural.training import History

__all__ = ["FORMAT", "check_place", "kind_of", "load", "save"]

FORMAT = "bayesastro trained networks 1"

WEIGHTS, SPEC, SELFTEST = "weights.safetensors", "spec.json", "selftest.npz"

NUM_TESTS = 8
"""Simulations in the self-test."""

TEST_TOLERANCE = 1e-3
"""Of log-probabilities, between machines in single precision; relative to their size where they are larger than one."""


def check_place(folder: Path) -> None:
    """Raise if something else than saved networks, which may be replaced, is there.

    Raises
    ------
    FileExistsError
    """
    if folder.exists() and not (folder / SPEC).exists():
        raise FileExistsError(f"`{folder}` exists and holds no saved network. Choose another folder.")


def save(trained: Trained, settings: Mapping[str, Any], folder: Path) -> None:
    """Write networks: everything to a folder beside, and that to its place."""
    check_place(folder)
    beside = folder.with_name(f".{uuid.uuid4().hex}.{folder.name}")
    beside.mkdir(parents=True)
    try:
        (beside / WEIGHTS).write_bytes(save_tensors(_arrays(trained)))
        np.savez(beside / SELFTEST, allow_pickle=False, **_tests(trained))
        spec = _spec(trained) | {
            "engine": dict(settings),
            "sha256": {name: _digest((beside / name).read_bytes()) for name in (WEIGHTS, SELFTEST)},
        }
        (beside / SPEC).write_text(json.dumps(spec, indent=1))
        if folder.exists():
            old = folder.with_name(f".{uuid.uuid4().hex}.old")
            os.replace(folder, old)
            os.replace(beside, folder)
            shutil.rmtree(old)
        else:
            os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load(folder: Path, kinds: Sequence[str]) -> tuple[Trained, dict[str, Any]]:
    """Networks of one of the kinds, and the settings that were saved with them.

    Raises
    ------
    FileNotFoundError, ValueError
    """
    spec = _read_spec(folder)
    kind = spec["plan"]["kind"]
    if kind not in kinds:
        raise ValueError(
            f"`{folder}` holds a learnt {kind}, and not a {' or '.join(kinds)}. `bayesastro.load` loads every kind."
        )
    contents = {name: _verified(folder / name, spec["sha256"][name]) for name in (WEIGHTS, SELFTEST)}
    try:
        trained = _rebuilt(spec, load_tensors(contents[WEIGHTS]))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"`{folder}` is damaged: {SPEC} and {WEIGHTS} do not fit together ({error}).") from error
    with np.load(folder / SELFTEST, allow_pickle=False) as tests:
        _self_test(trained, dict(tests), folder)
    return trained, spec["engine"]


def kind_of(folder: Path) -> str:
    """The kind of the networks in a folder, see :class:`Plan`.

    Raises
    ------
    FileNotFoundError, ValueError
    """
    return _read_spec(folder)["plan"]["kind"]


def _read_spec(folder: Path) -> dict[str, Any]:
    if not (folder / SPEC).is_file():
        raise FileNotFoundError(f"There are no saved networks at `{folder}`: it has no `{SPEC}`.")
    try:
        spec = json.loads((folder / SPEC).read_text())
    except ValueError as error:
        raise ValueError(f"`{folder / SPEC}` is damaged: {error}.") from None
    found = spec.get("format") if isinstance(spec, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"`{folder}` is of the format `{found}`, but this version reads `{FORMAT}`. Train again, or read it with "
            f"the version that wrote it."
        )
    return spec


def _verified(path: Path, wanted: str) -> bytes:
    if not path.is_file():
        raise ValueError(f"The saved network `{path.parent}` has no `{path.name}`. Copy the whole folder.")
    content = path.read_bytes()
    if _digest(content) != wanted:
        raise ValueError(f"`{path}` is damaged: its SHA-256 is not the one in `{SPEC}`. Copy it again, or train again.")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _spec(trained: Trained) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "versions": {"bayesastro": __version__, **{name: version(name) for name in ("torch", "numpy", "zuko")}},
        "identity": dict(trained.identity),
        "labels": trained.labels,
        "num_simulations": trained.num_simulations,
        "num_failed": trained.num_failed,
        "seed": trained.seed,
        "settings": dict(trained.settings),
        "num_networks": len(trained.networks),
        "plan": trained.networks[0].plan.described(),
        "sites": {
            name: {"transform": scale.transform, "softening": scale.softening, "shape": list(scale.kept.shape)}
            for name, scale in trained.scale.sites.items()
        },
        "histories": [asdict(history) for history in trained.histories],
    }


def _arrays(trained: Trained) -> dict[str, np.ndarray]:
    arrays = {f"plan/{name}": array for name, array in trained.networks[0].plan.arrays().items()}
    for i, network in enumerate(trained.networks):
        arrays |= {f"network {i}/{name}": value.numpy() for name, value in network.state_dict().items()}
    arrays |= {"scale/mean": trained.scale.mean, "scale/sd": trained.scale.sd}
    for name, scale in trained.scale.sites.items():
        arrays |= {f"site {part}/{name}": getattr(scale, part) for part in ("mean", "sd", "kept")}
    familiarity = trained.familiarity
    arrays |= {f"familiarity/{part}": getattr(familiarity, part) for part in ("mean", "whitening", "limits")}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _rebuilt(spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Trained:
    plan = Plan.of(spec["plan"], _under(arrays, "plan"))
    networks = []
    for i in range(spec["num_networks"]):
        with torch.random.fork_rng(devices=[]):  # the initial weights, which are overwritten, are drawn
            network = network_of(plan)
        network.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in _under(arrays, f"network {i}").items()})
        networks.append(network.eval())
    sites = {
        name: SiteScale(
            site["transform"],
            site["softening"],
            *(arrays[f"site {part}/{name}"].reshape(site["shape"]) for part in ("mean", "sd", "kept")),
        )
        for name, site in spec["sites"].items()
    }
    names = ("identity", "labels", "num_simulations", "num_failed", "settings", "seed")
    return trained_class(plan)(
        networks=tuple(networks),
        scale=Standardisation(arrays["scale/mean"], arrays["scale/sd"], sites),
        familiarity=Familiarity(*(arrays[f"familiarity/{part}"] for part in ("mean", "whitening", "limits"))),
        histories=tuple(History(**history) for history in spec["histories"]),
        **{name: spec[name] for name in names},
    )


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(f"{prefix}/"): a for n, a in arrays.items() if n.startswith(f"{prefix}/")}


def _tests(trained: Trained) -> dict[str, np.ndarray]:
    """Coordinates and observed values within what was trained on, and their log-probabilities."""
    random = np.random.default_rng(0)
    z = trained.scale.restored(random.standard_normal((NUM_TESTS, 1, len(trained.labels))))
    observed = {}
    for name, scale in trained.scale.sites.items():
        values = scale.mean + scale.sd * random.standard_normal((NUM_TESTS, *scale.mean.shape))
        back = {
            "none": lambda v: v,
            "asinh": lambda v, s=scale.softening: s * np.sinh(v),
            "sqrt": lambda v, s=scale.softening: np.copysign(s * ((1 + np.abs(v) / 2) ** 2 - 1), v),
            "log": np.exp,
        }
        observed[f"observed/{name}"] = back[scale.transform](values)
    found = trained.evaluate(z, {name.removeprefix("observed/"): v for name, v in observed.items()})
    return {"coordinates": z, "log_prob": found, **observed}


def _self_test(trained: Trained, tests: Mapping[str, np.ndarray], folder: Path) -> None:
    """Raise unless the stored log-probabilities come out again."""
    found = trained.evaluate(tests["coordinates"], _under(tests, "observed"))
    error = np.abs(found - tests["log_prob"]) / np.maximum(np.abs(tests["log_prob"]), 1.0)
    if not error.max() < TEST_TOLERANCE:
        raise ValueError(
            f"The saved network `{folder}` fails its self-test: its values come out wrong by up to "
            f"{error.max():.2g}. The versions differ ({SPEC} names those that wrote it); train again."
        )
