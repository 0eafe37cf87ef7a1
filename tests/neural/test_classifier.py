"""`Classifier` learns the exact probabilities of two models, whatever the banks' sizes; and what it refuses."""

import dataclasses
import json
import shutil
import warnings

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import two_models
from numpyro.handlers import mask as masked

import bayesastro as ba
from bayesastro.banks import reading
from bayesastro.inference.neural.embeddings import Dense, SetNetwork
from bayesastro.inference.neural.sources import Mixed
from bayesastro.inference.neural.trained_classifier import TrainedClassifier

SETTINGS = ba.Classifier(hidden=32, max_epochs=15, batch_size=128)

QUICK = ba.Classifier(hidden=8, max_epochs=1, batch_size=64)


@pytest.fixture(scope="module")
def problems():
    return two_models.problems()


@pytest.fixture(scope="module")
def banks():
    return two_models.banks(4000, 4000)


@pytest.fixture(scope="module")
def few():
    return two_models.banks(400, 200)


@pytest.fixture(scope="module")
def classifier(problems, banks):
    return SETTINGS.train(problems, banks, seed=1, progress=False)


@pytest.fixture(scope="module")
def fresh():
    """Data sets of both models, half of each."""
    return np.concatenate([bank.rows(slice(1000, 2000))[1]["y"] for bank in two_models.banks(2000, 2001).values()])


def off(classifier, y):
    """Errors of the probability of the first model."""
    odds = two_models.log_bayes_factor(y) + np.log(classifier.prior["narrow"] / classifier.prior["wide"])
    return classifier.probabilities({"y": y})["narrow"].to_numpy() - 1 / (1 + np.exp(-odds))


def test_probabilities_are_the_exact_ones(classifier, fresh):
    errors = off(classifier, fresh)
    assert np.sqrt((errors**2).mean()) < 0.04
    assert abs(errors.mean()) < 0.015
    found = classifier.probabilities({"y": fresh})
    assert list(found.columns) == ["narrow", "wide"]
    np.testing.assert_allclose(found.to_numpy().sum(1), 1)
    factor, exact = classifier.log_bayes_factor({"y": fresh}, "narrow", "wide"), two_models.log_bayes_factor(fresh)
    assert np.sqrt(((factor - exact)[np.abs(exact) < 3] ** 2).mean()) < 0.25
    np.testing.assert_allclose(classifier.log_bayes_factor({"y": fresh}, "wide", "narrow"), -factor)


@pytest.mark.parametrize("prior", [None, {"narrow": 0.1, "wide": 0.9}])
def test_banks_of_unlike_sizes_and_stated_priors(problems, fresh, prior):
    settings = dataclasses.replace(SETTINGS, prior=prior, num_ensemble=2)
    classifier = settings.train(problems, two_models.banks(4000, 800), seed=1, progress=False)
    errors = off(classifier, fresh)
    assert np.sqrt((errors**2).mean()) < 0.04
    assert abs(errors.mean()) < 0.015
    assert ba.reliability(classifier, problems, num_simulations=500, seed=1, progress=False).verdict == "pass"


def centred(mean, sd):
    numpyro.sample("offset", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(mean, sd).expand([2]).to_event(1))


def test_three_models_and_transforms():
    settings = {"left": (-1.0, 1.0), "right": (1.0, 1.0), "both": (0.0, 2.0)}
    problems = {n: ba.Problem(centred, *given, observed={"y": np.zeros(2)}) for n, given in settings.items()}
    banks = {n: ba.simulate(p, 1500, seed=3, progress=False) for n, p in problems.items()}
    prior = {"right": 0.3, "left": 0.5, "both": 0.2}
    made = dataclasses.replace(SETTINGS, prior=prior, transforms={"y": "asinh"})
    classifier = made.train(problems, banks, seed=1, progress=False)
    y = np.random.default_rng(1).normal(size=(500, 2)) * 1.5
    density = {n: prior[n] * np.exp(-0.5 * ((y - m) ** 2 / s**2).sum(1)) / s**2 for n, (m, s) in settings.items()}
    found, total = classifier.probabilities({"y": y}), sum(density.values())
    for name in settings:
        assert np.sqrt(((found[name] - density[name] / total) ** 2).mean()) < 0.05
    report = ba.reliability(classifier, problems, num_simulations=400, seed=1, false_alarm=0.001, progress=False)
    assert report.verdict == "pass", str(report)


def test_another_prior_needs_no_training(classifier, fresh):
    other = dataclasses.replace(classifier, prior={"narrow": 0.9, "wide": 0.1})
    odds = classifier.log_bayes_factor({"y": fresh}, "narrow", "wide")
    np.testing.assert_array_equal(other.log_bayes_factor({"y": fresh}, "narrow", "wide"), odds)
    wanted = 1 / (1 + np.exp(-odds) / 9)
    np.testing.assert_allclose(other.probabilities({"y": fresh})["narrow"], wanted, rtol=1e-6)


def test_ensembles_average_probabilities(problems, few, fresh):
    both = dataclasses.replace(QUICK, num_ensemble=2).train(problems, few, seed=1, progress=False)
    singly = [
        dataclasses.replace(both, networks=dataclasses.replace(both.networks, networks=(network,)))
        for network in both.networks.networks
    ]
    mean = np.mean([one.probabilities({"y": fresh}) for one in singly], axis=0)
    np.testing.assert_allclose(both.probabilities({"y": fresh}), mean, rtol=1e-6)


def test_training_is_deterministic_has_a_history_and_stops(problems, few, fresh):
    settings = dataclasses.replace(QUICK, max_epochs=100, patience=2, learning_rate=0.02)
    first, again, other = (settings.train(problems, few, seed=seed, progress=False) for seed in (1, 1, 2))
    assert first.networks.fingerprint == again.networks.fingerprint != other.networks.fingerprint
    history = first.networks.histories[0]
    assert history.ended == "patience"
    assert len(history.validation) == history.best_epoch + 3


def test_banks_too_large_to_cache_are_streamed(problems, banks, fresh):
    streamed = dataclasses.replace(SETTINGS, max_epochs=6, cache_bytes=0).train(problems, banks, seed=1, progress=False)
    assert np.sqrt((off(streamed, fresh) ** 2).mean()) < 0.06


def test_rows_of_all_banks_are_mixed(monkeypatch):
    monkeypatch.setattr(reading, "WINDOW_BYTES", 2**12)  # several windows of each bank
    banks = two_models.banks(3000, 900)
    mixed = Mixed(banks)
    among, _ = mixed.split(0.1, seed=1)
    wanted = np.concatenate([bank.rows(slice(None))[1]["y"] for bank in banks.values()])
    model = np.repeat([0, 1], [3000, 900])
    for seed in (None, (1, 2)):
        parts = list(mixed.batches(200, seed=seed, among=among))
        assert [len(z) for z, _ in parts[:-1]] == [200] * (len(parts) - 1)
        z, y = np.concatenate([z for z, _ in parts]), np.concatenate([x["y"] for _, x in parts])
        rows = np.lexsort(y.T)
        np.testing.assert_array_equal(y[rows], wanted[among][np.lexsort(wanted[among].T)])
        np.testing.assert_array_equal(z.argmax(1)[rows], model[among][np.lexsort(wanted[among].T)])
        share = np.array([z[:, 1].mean() for z, _ in parts[:-1]])
        assert np.abs(share - model[among].mean()).max() < (0.02 if seed is None else 0.15)
    assert mixed.fractions == [3000 / 3900, 900 / 3900]
    assert sum(len(z) for z, _ in mixed.batches(200, seed=1, drop_last=True)) == 3800


def test_data_unlike_those_of_any_model_are_flagged(classifier, fresh):
    assert (classifier.outside({"y": fresh}) < 1).mean() > 0.99
    assert (classifier.outside({"y": np.array([[40.0] * 4, [9.0, -9.0, 9.0, -9.0]])}) > 1).all()


def test_failing_speaks_against_a_model(problems, fresh):
    """Half of the second model's simulations fail whatever they are: it loses half of its probability."""
    banks = two_models.banks(4000, 4000)
    z, x = banks["wide"].rows(slice(None))
    x["y"][::2, 0] = np.nan
    banks["wide"] = ba.Bank.from_arrays(problems["wide"], {"level": z[:, 0]}, x)
    with pytest.warns(UserWarning, match="failed and are left out: 2000 of 4000 of `wide`"):
        classifier = SETTINGS.train(problems, banks, seed=1, progress=False)
    wanted = 1 / (1 + 0.5 * np.exp(-two_models.log_bayes_factor(fresh)))
    errors = classifier.probabilities({"y": fresh})["narrow"] - wanted
    assert np.sqrt((errors**2).mean()) < 0.04
    assert abs(errors.mean()) < 0.015


def series(time, seen, slope):
    rate = numpyro.sample("rate", dist.Normal(slope, 0.1))
    with masked(mask=seen):
        numpyro.sample("flux", dist.Normal(rate * time, 0.2))


def test_sets_have_companions_that_all_models_share():
    time, seen, observed = np.linspace(0.0, 1.0, 6), np.arange(6) < 5, {"flux": np.zeros(6)}
    problems = {
        n: ba.Problem(series, time, seen, slope, observed=observed) for n, slope in (("up", 1.0), ("down", -1.0))
    }
    banks = {n: ba.simulate(p, 300, seed=1, progress=False) for n, p in problems.items()}
    settings = dataclasses.replace(
        QUICK, max_epochs=20, embeddings={"flux": SetNetwork(features=("time",), mask="seen", width=16)}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier = settings.train(problems, banks, seed=1, progress=False)
    flux = np.stack([time, -time, -time])
    flux[2, 5] = 50.0  # masked
    found = classifier.probabilities({"flux": flux})["up"].to_numpy()
    assert found[0] > 0.9 > 0.1 > found[1]
    assert found[1] == pytest.approx(found[2], rel=1e-3)
    later = ba.Problem(series, 2 * time, seen, -1.0, observed=observed)
    banks["down"] = ba.simulate(later, 300, seed=1, progress=False)
    with pytest.raises(ValueError, match=r"`time`, which accompanies a site, is not the same in the models `up` and"):
        settings.train(problems | {"down": later}, banks, seed=1, progress=False)
    other = ba.Problem(series, time, np.arange(6) < 3, -1.0, observed=observed)
    banks["down"] = ba.simulate(other, 300, seed=1, progress=False)
    with pytest.raises(ValueError, match="`up` and `down` have unlike masks at `flux`"):
        QUICK.train(problems | {"down": other}, banks, seed=1, progress=False)


def test_it_comes_back_as_it_was(classifier, fresh, tmp_path):
    classifier.save(tmp_path / "classifier")
    for again in (TrainedClassifier.load(tmp_path / "classifier"), ba.load(tmp_path / "classifier")):
        assert again.prior == classifier.prior
        assert again.networks.histories == classifier.networks.histories
        assert repr(again) == repr(classifier)
        np.testing.assert_array_equal(again.probabilities({"y": fresh}), classifier.probabilities({"y": fresh}))
        np.testing.assert_array_equal(again.outside({"y": fresh}), classifier.outside({"y": fresh}))
    with pytest.raises(ValueError, match="holds a learnt classifier, and not a posterior"):
        ba.Amortised.load(tmp_path / "classifier")


def test_damage_and_other_kinds_are_told(classifier, amortised, tmp_path):
    folder = tmp_path / "classifier"
    classifier.save(folder)
    spec = json.loads((folder / "spec.json").read_text())
    for name in ("weights.safetensors", "selftest.npz"):
        copy = folder.with_name(f"damaged {name}")
        shutil.copytree(folder, copy)
        content = bytearray((copy / name).read_bytes())
        content[-5] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}` is damaged: its SHA-256"):
            ba.load(copy)
    (folder / "spec.json").write_text(json.dumps(spec | {"plan": spec["plan"] | {"size": 3}}))
    with pytest.raises(ValueError, match="do not fit together"):
        ba.load(folder)
    amortised.save(tmp_path / "posterior")
    with pytest.raises(ValueError, match="holds a learnt posterior, and not a classifier"):
        TrainedClassifier.load(tmp_path / "posterior")


def other_site():
    mean = numpyro.sample("mean", dist.Normal(0.0, 0.3))
    numpyro.sample("x", dist.Normal(mean, 1.0).expand([4]).to_event(1))


def longer():
    mean = numpyro.sample("mean", dist.Normal(0.0, 0.3))
    numpyro.sample("y", dist.Normal(mean, 1.0).expand([5]).to_event(1))


@pytest.mark.parametrize(
    ("program", "observed", "message"),
    [
        (
            other_site,
            {"x": np.zeros(4)},
            r"`y` the model `narrow` has the shape \(4,\), and `other` does not observe it",
        ),
        (longer, {"y": np.zeros(5)}, r"`y` the model `narrow` has the shape \(4,\), and `other` has the shape \(5,\)"),
    ],
)
def test_models_of_other_data_are_refused(problems, few, program, observed, message):
    other = ba.Problem(program, observed=observed)
    bank = ba.simulate(other, 100, seed=1, progress=False)
    with pytest.raises(ValueError, match=message):
        QUICK.train({"narrow": problems["narrow"], "other": other}, {"narrow": few["narrow"], "other": bank}, seed=1)


def test_what_does_not_fit_is_refused(problems, few, classifier):
    with pytest.raises(ValueError, match=r"at least two models, but problems of \['narrow'\]"):
        QUICK.train({"narrow": problems["narrow"]}, few, seed=1)
    with pytest.raises(ValueError, match="The model `narrow`: The bank is of another program"):
        QUICK.train(problems, {"narrow": few["wide"], "wide": few["wide"]}, seed=1)
    with pytest.raises(ValueError, match="needs 40 simulations of each model, but has 10 of `wide`"):
        QUICK.train(problems, two_models.banks(400, 10), seed=1)
    with pytest.raises(TypeError, match="needs mappings from names of models"):
        QUICK.train(list(problems), list(few), seed=1)
    with pytest.raises(TypeError, match="The model `wide` needs a `Problem` and a `Bank`"):
        QUICK.train(problems, few | {"wide": None}, seed=1)
    with pytest.raises(ValueError, match=r"a probability for each of the models \['narrow', 'wide'\]"):
        dataclasses.replace(QUICK, prior={"narrow": 0.5, "other": 0.5}).train(problems, few, seed=1)
    with pytest.raises(ValueError, match="of which the sum is one"):
        ba.Classifier(prior={"narrow": 0.5, "wide": 0.6})
    with pytest.raises(ValueError, match="of which the sum is one"):
        dataclasses.replace(classifier, prior={"narrow": 0.0, "wide": 1.0})
    with pytest.raises(ValueError, match="`flux` is not observed in the bank"):
        dataclasses.replace(QUICK, embeddings={"flux": Dense()}).train(problems, few, seed=1)
    with pytest.raises(ValueError, match=r"`y` was trained with shape \(4,\)"):
        classifier.probabilities({"y": np.zeros((2, 3))})
    with pytest.raises(ValueError, match="`y` are needed"):
        classifier.outside({"x": np.zeros((2, 4))})
    with pytest.raises(ValueError, match=r"`flat` is none of the models"):
        classifier.log_bayes_factor({"y": np.zeros((2, 4))}, "flat", "wide")
    with pytest.raises(TypeError, match="needs an engine such as"):
        ba.fit(problems["wide"], classifier, seed=1)
