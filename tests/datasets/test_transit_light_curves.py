"""Readers of light curves and velocities: numbers of points, dates to their last digit, bins, and files that are none."""

from decimal import Decimal

import numpy as np
import pytest

from bayesastro.datasets.transit_light_curves import (
    TransitLightCurve,
    read_archive_npz,
    read_light_curve_text,
    read_velocities_text,
)

FOLDER = "transit_kepler_tess"


@pytest.mark.parametrize(
    ("name", "num_points", "reference"),
    [("HAT-P-7_kepler_Q0_short_cadence.npz", 13_203, 2454833.0), ("WASP-126_tess_s01_2min.npz", 18_103, 2457000.0)],
)
def test_good_points_of_archive_light_curves(published_file, name, num_points, reference):
    curve = read_archive_npz(published_file(f"{FOLDER}/{name}"))
    assert len(curve) == num_points
    assert curve.reference == reference
    assert np.median(curve.flux) == pytest.approx(1.0)
    assert (curve.flux > 0.9).all()
    assert (np.diff(curve.time) > 0).all()


def test_dates_keep_their_digits(published_file):
    """The dates of the file have ten decimals, of which a double would lose the last."""
    path = published_file(f"{FOLDER}/K2-140_lc.dat")
    curve = read_light_curve_text(path)
    dates = [Decimal(line.split()[0]) for line in path.read_text().splitlines()]
    assert len(curve) == len(dates) == 2330
    error = max(abs(Decimal(float(t)) + int(curve.reference) - d) for t, d in zip(curve.time, dates, strict=True))
    assert float(error) * 86400e6 < 1e-2  # microseconds
    rounded = max(abs(Decimal(float(d)) - d) for d in dates)
    assert float(rounded) * 86400e6 > 1


def test_velocities(published_file):
    rv = read_velocities_text(published_file(f"{FOLDER}/K2-140_rvs.dat"), reference=2457582.0)
    assert rv.names == ("CORALIE", "FIES", "HARPS")
    np.testing.assert_array_equal(np.bincount(rv.instrument), [12, 13, 6])
    assert rv.time[0] == pytest.approx(222.7517220, abs=1e-12)
    assert read_velocities_text(published_file(f"{FOLDER}/K2-140_rvs.dat")).reference == 2457804.0


def test_bins_and_folding():
    time = np.array([0.01, 0.02, 0.03, 0.51, 0.52])
    curve = TransitLightCurve(
        time=time, flux=np.array([1.0, 2.0, 3.0, 4.0, 6.0]), sigma=np.array([1.0, 1.0, 1.0, 1.0, 2.0]), reference=0.0
    )
    binned = curve.binned(0.1)
    np.testing.assert_allclose(binned.flux, [2.0, (4 + 6 / 4) / 1.25])
    np.testing.assert_allclose(binned.sigma, [1 / np.sqrt(3), 1 / np.sqrt(1.25)])
    np.testing.assert_allclose(curve.folded(0.5, 0.01), [0.0, 0.01, 0.02, 0.0, 0.01], atol=1e-15)
    assert len(curve[time > 0.4]) == 2


def test_files_that_are_no_light_curves(tmp_path):
    short = tmp_path / "short.dat"
    short.write_text("2457582.5 1.0\n")
    with pytest.raises(ValueError, match="time, flux and error"):
        read_light_curve_text(short)
    np.savez(tmp_path / "other.npz", time=np.zeros(3))
    with pytest.raises(ValueError, match="needs the arrays"):
        read_archive_npz(tmp_path / "other.npz")
    header = np.array(["BJDREFI=2454833"])
    columns = {"time": np.zeros(2), "pdcsap_flux": np.zeros(2), "pdcsap_flux_err": np.ones(2), "quality": np.ones(2)}
    np.savez(tmp_path / "bad.npz", header=header, **columns)
    with pytest.raises(ValueError, match="no good point"):
        read_archive_npz(tmp_path / "bad.npz")
