"""Emulators of a user's grid: what they learn, how far off they say they are, what they refuse, and files."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import stellar_spectra

import bayesastro as ba
from bayesastro import emulators
from bayesastro.datasets.payne import read_payne
from bayesastro.emulators import Attention, Components, Multilayer
from bayesastro.emulators.accuracy import quadratic
from bayesastro.emulators.grid import checked_grid
from bayesastro.models.spectra import star
from bayesastro.models.spectra.payne import LABELS, spectrum_network
from bayesastro.simulators.emulators import Domain, Emulator
from bayesastro.simulators.emulators.attention import wavelength_code

WAVELENGTH = np.exp(np.linspace(np.log(5000.0), np.log(5100.0), 60))
NAMES = ["Teff", "logg"]
SMALL = {
    "Multilayer": Multilayer(hidden=(48,), max_epochs=200, batch_size=16, learning_rate=8e-3),
    "Components": Components(hidden=(48,), num_components=8, max_epochs=200, batch_size=16, learning_rate=8e-3),
    "Attention": Attention(
        width=16, num_tokens=4, num_layers=1, num_heads=2, num_frequencies=16, num_wavelengths=40, max_epochs=90
    ),
}


def labels(number=400, seed=1):
    return np.random.default_rng(seed).uniform([4000.0, 2.0], [7000.0, 5.0], (number, 2))


def spectra(at, wavelength=WAVELENGTH):
    """Two lines whose depths saturate, one of them wider at high gravity."""
    x = (at - [5500.0, 3.5]) / [1500.0, 1.5]
    width = 8.0 * np.exp(0.5 * x[:, 1:])
    lines = [
        (0.4 / (1 + np.exp(3.0 * x[:, :1]))) * np.exp(-0.5 * ((wavelength - 5030.0) / width) ** 2),
        0.3 * np.tanh(1 + x[:, :1] + 0.5 * x[:, 1:]) * np.exp(-0.5 * ((wavelength - 5070.0) / 6.0) ** 2),
    ]
    return 1.0 - lines[0] - lines[1]


class Foreign(Emulator):
    """Of a user."""

    domain: Domain
    error: float = 0.0

    def evaluated(self, scaled):
        return scaled


@pytest.fixture(scope="module")
def trained():
    at = labels()
    return {
        name: settings.train(at, spectra(at), NAMES, wavelength=WAVELENGTH, seed=2, progress=False)
        for name, settings in SMALL.items()
    }


@pytest.mark.parametrize("name", SMALL)
def test_emulators_are_as_accurate_as_they_say_at_points_never_seen(trained, name):
    found, at = trained[name], labels(300, seed=9)
    at = at[((at > found.emulator.domain.low) & (at < found.emulator.domain.high)).all(axis=1)]
    with jax.enable_x64(True):
        off = np.asarray(found.emulator(at)) - spectra(at)
    rms = np.sqrt(np.mean(off**2))
    table = found.accuracy.table
    # 40 points that were held out: the rms of a few bad ones among them scatters.
    assert rms == pytest.approx(table.loc["emulator", "rms"], rel=0.5)
    assert table.loc["emulator", "rms"] < 0.5 * table.loc["quadratic in labels", "rms"] < table.loc["mean", "rms"]
    np.testing.assert_allclose(found.emulator.error, np.sqrt(np.mean(found.accuracy.residual**2, axis=0)))
    worst = found.accuracy.worst
    assert abs(worst["residual"]) == table.loc["emulator", "largest"]
    assert "held out" in str(found.accuracy)


def test_no_amplitudes_do_better_than_the_components(trained):
    table = trained["Components"].accuracy.table
    assert table.loc["8 components", "rms"] < table.loc["emulator", "rms"]


def test_points_held_out_are_not_learnt_from():
    """With other outputs there, the emulator is the same."""
    at, settings = labels(100), Multilayer(hidden=(8,), max_epochs=5)
    flux = spectra(at)
    first = settings.train(at, flux, NAMES, seed=2, progress=False)
    held_out = checked_grid(at, flux, NAMES, None, (0.1, 0.1), 2).held_out
    np.testing.assert_allclose(first.accuracy.labels, at[held_out])
    flux[held_out] += 1.0
    second = settings.train(at, flux, NAMES, seed=2, progress=False)
    for a, b in zip(first.emulator.weights, second.emulator.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert second.accuracy.table.loc["emulator", "rms"] > 0.9


def test_a_quadratic_is_found_exactly():
    at = labels(60)
    grid = checked_grid(at, (at[:, :1] / 1e3) ** 2 + at[:, 1:] * at[:, :1] / 1e3, NAMES, None, (0.1, 0.1), 1)
    np.testing.assert_allclose(quadratic(grid, grid.scaled), grid.outputs, rtol=1e-9)


@pytest.mark.parametrize("name", SMALL)
def test_outside_of_the_grid_there_is_no_answer(trained, name):
    emulator = trained[name].emulator
    assert np.isnan(emulator(np.array([3900.0, 3.0]))).all()
    with pytest.raises(ValueError, match="nothing outside"):
        emulator.domain.require("logg", 5.5)


def test_attention_is_asked_between_wavelengths(trained):
    emulator, at = trained["Attention"].emulator, np.array([[5200.0, 3.3], [6100.0, 4.2]])
    between = 0.5 * (WAVELENGTH[1:] + WAVELENGTH[:-1])
    with jax.enable_x64(True):
        np.testing.assert_allclose(emulator.at(at, WAVELENGTH), emulator(at), rtol=1e-12)
        found = np.asarray(emulator.at(at, between))
        beyond = emulator.at(at, np.array([4990.0, 5050.0, 5110.0]))
    off = 1.5 * trained["Attention"].accuracy.table.loc["emulator", "rms"]
    assert np.sqrt(np.mean((found - spectra(at, between)) ** 2)) < off
    assert np.isnan(beyond[:, [0, 2]]).all()
    assert np.isfinite(beyond[:, 1]).all()


def test_codes_tell_the_finest_steps_apart_in_single_precision():
    at = np.exp(np.log(15000.0) + 6e-6 * np.arange(3000))
    with jax.enable_x64(True):
        exact = wavelength_code(at, float(at[0]), float(at[-1]), 64, 6e-6)
        exact = np.asarray(exact)
    single = np.asarray(wavelength_code(at.astype(np.float32), float(at[0]), float(at[-1]), 64, 6e-6))
    assert np.abs(single - exact).max() < 0.1
    # The finest wave alternates between neighbours.
    np.testing.assert_allclose(exact[:, -1], np.resize([1.0, -1.0], 3000), atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_emulators_are_saved_and_read(trained, name, tmp_path):
    emulator, at = trained[name].emulator, labels(5, seed=3)
    emulators.save(emulator, tmp_path / "emulator.npz")
    again = emulators.load(tmp_path / "emulator.npz")
    assert type(again) is type(emulator)
    assert again.domain.names == tuple(NAMES)
    np.testing.assert_array_equal(again(at), emulator(at))
    np.testing.assert_array_equal(again.error, emulator.error)


def test_files_that_are_no_emulators_are_refused(trained, tmp_path):
    with pytest.raises(FileNotFoundError):
        emulators.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    np.savez(tmp_path / "arrays.npz", x=np.ones(3))
    for name in ("text.npz", "arrays.npz"):
        with pytest.raises(ValueError, match="is no file of an emulator"):
            emulators.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", description=np.array('{"format": "another"}'))
    with pytest.raises(ValueError, match="in another format"):
        emulators.load(tmp_path / "other.npz")
    with pytest.raises(TypeError, match="cannot be saved"):
        emulators.save(Foreign(domain=trained["Multilayer"].emulator.domain), tmp_path / "foreign.npz")
    assert not (tmp_path / "foreign.npz").exists()


def test_bad_grids_are_refused():
    at = labels(50)
    flux = spectra(at)
    train = Multilayer(hidden=(4,), max_epochs=1).train
    with pytest.raises(ValueError, match="labels of shape"):
        train(at, flux[:40], NAMES)
    with pytest.raises(ValueError, match="one for each of 2 labels"):
        train(at, flux, ["Teff"])
    with pytest.raises(ValueError, match="at least 30 points"):
        train(at[:20], flux[:20], NAMES)
    with pytest.raises(ValueError, match=r"1 of 50 points .* row 7"):
        train(at, np.where(np.arange(50)[:, None] == 7, np.nan, flux), NAMES)
    with pytest.raises(ValueError, match=r"labels \['logg'\] have the same value"):
        train(at * [1.0, 0.0], flux, NAMES)
    with pytest.raises(ValueError, match="nothing to learn"):
        train(at, np.ones_like(flux), NAMES)
    with pytest.raises(ValueError, match="numbers that rise"):
        train(at, flux, NAMES, wavelength=WAVELENGTH[::-1])
    with pytest.raises(ValueError, match="needs `wavelength`"):
        SMALL["Attention"].train(at, flux, NAMES)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="`max_epochs` to be a whole number"):
        Multilayer(max_epochs=0)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        Multilayer(learning_rate=-1.0)
    with pytest.raises(ValueError, match=r"must leave 0\.4 of the grid"):
        Multilayer(held_out_fraction=0.7)
    with pytest.raises(ValueError, match="multiple of `num_heads`"):
        Attention(width=30, num_heads=4)
    at = labels(50)
    with pytest.raises(ValueError, match="Lower `learning_rate`"):
        Multilayer(hidden=(4,), learning_rate=1e30, max_epochs=9).train(at, spectra(at), NAMES, progress=False)


def test_progress_is_shown(capsys):
    at = labels(50)
    Multilayer(hidden=(4,), max_epochs=2).train(at, spectra(at), NAMES)
    assert "Multilayer: epoch 2/2" in capsys.readouterr().err


def test_programs_of_stars_take_what_was_trained():
    """Learnt from the spectra of a network, it gives a program that goes by its labels, its domain and its error."""
    given = spectrum_network(stellar_spectra.networks())
    at = np.random.default_rng(1).uniform(given.domain.low, given.domain.high, (200, 5))
    found = Multilayer(hidden=(32,), max_epochs=20).train(at, np.asarray(given(at)), LABELS, progress=False)
    problem = star.build(stellar_spectra.spectra(), found.emulator)
    assert set(LABELS) < {site.name for site in problem.parameters}
    draws = problem.simulate(20, key=jax.random.key(1))
    assert np.isfinite(draws.observables["flux"]).all()


@pytest.mark.slow
def test_a_star_is_the_same_by_what_was_trained_on_spectra(published_file):
    """1500 spectra of 1000 pixels of APOGEE's networks: as accurate as a spectrum of signal to noise 100 asks for."""
    given = read_payne(published_file("payne_apogee/NN_normalized_spectra.npz").parent)
    full, part, rng = spectrum_network(given), slice(1000, 2000), np.random.default_rng(1)
    net = jax.tree.map(lambda leaf: leaf[part] if np.shape(leaf)[:1] == given.wavelength.shape else leaf, full)
    wavelength = given.wavelength[part]
    at = rng.uniform(net.domain.low, net.domain.high, (1500, 5))
    with jax.enable_x64(True):
        flux = np.asarray(jax.lax.map(net, at, batch_size=50))
        truth = np.array([5200.0, 4.5, -0.1, 0.05, 8.0])
        seen = np.asarray(net(truth)) + 0.01 * rng.normal(size=len(wavelength))
    found = {
        settings: settings.train(at, flux, LABELS, seed=1, progress=False) for settings in (Multilayer(), Components())
    }
    for trained in found.values():
        table = trained.accuracy.table["rms"]
        assert table["emulator"] < 0.002
        assert table["emulator"] < 0.5 * table["quadratic in labels"]
    spectrum = replace(
        stellar_spectra.spectra(),
        wavelength=wavelength,
        flux=seen[None],
        sigma=np.full((1, len(wavelength)), 0.01),
        is_used=np.ones((1, len(wavelength)), bool),
    )
    engine = ba.NUTS(num_chains=2, num_warmup=500, num_draws=700, mass_matrix="dense", target_accept=0.95)
    fits = [
        ba.fit(star.build(spectrum, emulator), engine, seed=1, progress=False)["posterior"]
        for emulator in (net, *(trained.emulator for trained in found.values()))
    ]
    for name, value in zip(LABELS, truth, strict=True):
        exact, sd = float(fits[0][name].mean()), float(fits[0][name].std())
        assert abs(exact - value) < 4 * sd
        for fit in fits[1:]:
            assert abs(float(fit[name].mean()) - exact) < 0.5 * sd, name
            assert 0.8 < float(fit[name].std()) / sd < 1.3, name
