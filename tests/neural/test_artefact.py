"""A saved posterior comes back as it was, or not at all."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

import bayesastro as ba
from bayesastro.inference.neural import artefact
from bayesastro.inference.neural.embeddings import SetNetwork

Y = {"y": np.array([[0.5, -0.2, 0.3]])}


@pytest.fixture
def folder(amortised, tmp_path):
    amortised.save(tmp_path / "posterior")
    return tmp_path / "posterior"


def edited(folder, **changes):
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(spec | changes))


def test_it_comes_back_as_it_was(amortised, folder, linear):
    for again in (ba.Amortised.load(folder), ba.load(folder)):
        assert again.posterior.fingerprint == amortised.posterior.fingerprint
        np.testing.assert_array_equal(again.draw(Y, 20, seed=1), amortised.draw(Y, 20, seed=1))
        assert again.posterior.histories == amortised.posterior.histories
        assert again.settings() == json.loads(json.dumps(amortised.settings()))
        assert repr(again) == repr(amortised)
    result = ba.fit(linear.problem, again, seed=1, progress=False)
    assert result["posterior"].equals(ba.fit(linear.problem, amortised, seed=1, progress=False)["posterior"])
    assert sorted(path.name for path in folder.parent.iterdir()) == ["posterior"]


def test_all_kinds_of_networks_come_back(linear, tmp_path):
    for flow in ("spline", "autoregressive", "mixture", "matching"):
        embeddings = {"y": SetNetwork(features=("design",))} if flow == "mixture" else {}
        settings = ba.NPE(
            flow=flow, num_transforms=2, hidden=8, max_epochs=1, num_ensemble=2, dropout=0.1, embeddings=embeddings,
            transforms={"y": "asinh"},
        )  # fmt: skip
        trained = settings.train(linear.problem, linear.bank, seed=1, progress=False)
        trained.save(tmp_path / flow)
        trained.save(tmp_path / flow)  # an old one is replaced
        np.testing.assert_array_equal(ba.load(tmp_path / flow).draw(Y, 9, seed=1), trained.draw(Y, 9, seed=1))


def test_damage_is_told(folder):
    for name in ("weights.safetensors", "selftest.npz"):
        copy = folder.with_name(f"damaged {name}")
        shutil.copytree(folder, copy)
        content = bytearray((copy / name).read_bytes())
        content[-5] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}` is damaged: its SHA-256"):
            ba.Amortised.load(copy)
        (copy / name).unlink()
        with pytest.raises(ValueError, match=f"has no `{name}`"):
            ba.Amortised.load(copy)
    (folder / "spec.json").write_text("{")
    with pytest.raises(ValueError, match=r"spec.json` is damaged"):
        ba.Amortised.load(folder)
    with pytest.raises(FileNotFoundError, match="no saved network"):
        ba.Amortised.load(folder / "nothing")


def test_other_formats_are_refused(folder):
    edited(folder, format="bayesastro trained networks 0")
    with pytest.raises(ValueError, match="of the format `bayesastro trained networks 0`, but this version reads"):
        ba.Amortised.load(folder)


def test_another_architecture_is_refused(folder):
    plan = json.loads((folder / "spec.json").read_text())["plan"]
    edited(folder, plan=plan | {"hidden": 7})
    with pytest.raises(ValueError, match="do not fit together"):
        ba.Amortised.load(folder)


def test_weights_that_do_not_repeat_their_densities_are_refused(folder):
    path = folder / "weights.safetensors"
    arrays = safetensors.numpy.load(path.read_bytes())
    arrays["scale/mean"] = arrays["scale/mean"] + 0.1
    path.write_bytes(safetensors.numpy.save(arrays))
    spec = json.loads((folder / "spec.json").read_text())
    edited(folder, sha256=spec["sha256"] | {path.name: artefact._digest(path.read_bytes())})
    with pytest.raises(ValueError, match="fails its self-test"):
        ba.Amortised.load(folder)


def test_another_folder_is_not_overwritten(amortised, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds no saved network"):
        amortised.save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
