"""Readers of X-ray spectra: published sums, conventions of the files, grouping, and files that do not fit together."""

import itertools

import numpy as np
import pytest
from astropy.io import fits
from scipy import integrate
from xray_spectra import cross_sections, write_files

from bayesastro.datasets.ogip import read_arf, read_pha, read_rmf
from bayesastro.datasets.xray_spectra import read_cross_sections, read_xray_spectrum

CHANDRA, XMM = "xray_3c273_chandra", "xray_ngc7793_ulx4_xmm"


def test_3c273_has_the_sum_and_the_groups_that_sherpa_finds(published_file):
    """sherpa 4.x, tests/test_astro.py, test_pha_intro: 44 groups in 0.1–6 keV, and the sum less the background."""
    path = published_file(f"{CHANDRA}/3c273.pi.gz")
    source, background = read_pha(path), read_pha(path.with_name("3c273_bg.pi.gz"))
    scale = source.backscal[0] / background.backscal[0]
    assert source.counts.sum() - scale * background.counts.sum() == pytest.approx(706.85714092, abs=1e-8)
    spectrum = read_xray_spectrum(path, low=0.1, high=6.0, partial=True)
    assert spectrum.counts.size == 44
    np.testing.assert_allclose(spectrum.background_scale, scale)
    assert spectrum.matrix.shape == (44, spectrum.edges.size - 1)


def test_ngc7793_is_grouped_as_by_jaxspec(published_file):
    """jaxspec 0.4.1: 110 groups, 11,163 counts, 1,015 of the background, ratio 0.29275290553726957 in 0.3–12 keV."""
    spectrum = read_xray_spectrum(published_file(f"{XMM}/PN_spectrum_grp20.fits.gz"), low=0.3, high=12.0)
    assert spectrum.counts.size == 110
    assert spectrum.counts.sum() == 11163
    assert spectrum.background_counts.sum() == 1015
    np.testing.assert_allclose(spectrum.background_scale, 0.29275290553726957, rtol=1e-12)
    tables = read_cross_sections(published_file(f"{XMM}/xsect_tbabs_wilm.fits.gz"), abundances="wilm")
    assert (tables.name, tables.abundances) == ("tbabs", "wilm")
    assert tables.binned(spectrum.edges).shape == (spectrum.edges.size - 1,)


@pytest.mark.parametrize(("first", "tlmin"), [(0, True), (1, True), (1, False), (5, False)])
@pytest.mark.parametrize("variable", [True, False])
def test_channels_are_counted_from_where_the_file_says(tmp_path, first, tlmin, variable):
    path, edges, expected = write_files(tmp_path, first=first, tlmin=tlmin, variable=variable)
    response, area = read_rmf(tmp_path / "small.rmf"), read_arf(tmp_path / "small.arf")
    np.testing.assert_allclose(response.matrix.toarray() * area.area, expected, rtol=1e-6)
    spectrum = read_xray_spectrum(path, low=0.0, high=4.0)
    np.testing.assert_array_equal(spectrum.counts, np.arange(5, 13))
    np.testing.assert_allclose(spectrum.edges, edges[:-1])  # nothing reaches a channel from the last bin
    np.testing.assert_allclose(spectrum.matrix, expected[:, :-1], rtol=1e-6)
    np.testing.assert_allclose(spectrum.background_scale, 0.5)


def test_groups_quality_and_range(tmp_path):
    columns = {
        "GROUPING": [1, -1, -1, 1, -1, 0, 1, -1],
        "QUALITY": [0, 5, 0, 0, 0, 0, 0, 0],
        "AREASCAL": [1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0],
    }
    path, _, expected = write_files(tmp_path, columns=columns)
    whole = read_xray_spectrum(path, low=0.0, high=4.0)
    np.testing.assert_array_equal(whole.counts, [5 + 7, 8 + 9, 10, 11 + 12])
    np.testing.assert_allclose(whole.matrix[0], (expected[0] + 0.5 * expected[2])[:-1], rtol=1e-6)
    np.testing.assert_allclose(whole.background_scale, [0.375, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(whole.e_min, [0.0, 1.5, 2.5, 3.0])
    np.testing.assert_array_equal(read_xray_spectrum(path, low=1.0, high=3.5).counts, [17, 10])
    np.testing.assert_array_equal(read_xray_spectrum(path, low=1.0, high=3.5, partial=True).counts, [12, 17, 10, 23])


def test_cross_sections_are_averaged_over_bins():
    tables, edges = cross_sections(), np.array([0.2, 0.2001, 0.5, 3.0, 19.0])

    def exact(a, b):
        points = tables.energy[(tables.energy > a) & (tables.energy < b)]
        value = integrate.quad(lambda e: np.interp(e, tables.energy, tables.sigma), a, b, points=points, limit=1000)[0]
        return value / (b - a)

    expected = [exact(a, b) for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(tables.binned(edges), expected, rtol=1e-9)
    with pytest.raises(ValueError, match=r"reach from 0\.1 to 20 keV, but the response needs 0\.05"):
        tables.binned(np.array([0.05, 1.0]))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"counts": np.array([5, 6, -7, 8, 9, 10, 11, 12])}, "not negative, but 1 of"),
        ({"counts": np.array([5, 6, 7.5, 8, 9, 10, 11, 12])}, "whole numbers"),
        ({"header": {"EXPOSURE": 0.0}}, "EXPOSURE must be positive"),
        ({"header": {"BACKSCAL": 0.0}}, "BACKSCAL must be positive"),
        ({"columns": {"AREASCAL": [1, 1, 1, 0, 1, 1, 1, 1]}}, "AREASCAL must be positive"),
        ({"columns": {"QUALITY": np.ones(8)}}, "no channel of quality 0"),
        ({"background": np.arange(1, 8)}, "its background has 7 from 1 to 7"),
        ({"header": {"RESPFILE": "NONE"}}, "names no response"),
    ],
)
def test_bad_spectra_are_refused(tmp_path, change, match):
    path, *_ = write_files(tmp_path, **change)
    with pytest.raises(ValueError, match=match):
        read_xray_spectrum(path, low=0.5, high=4.0)


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    path, *_ = write_files(tmp_path / "a")
    write_files(tmp_path / "b", first=0)
    with pytest.raises(ValueError, match="8 channels from 1 to 8, but its response has 8 from 0 to 7"):
        read_xray_spectrum(path, response=tmp_path / "b" / "small.rmf", low=0.5, high=4.0)
    with pytest.raises(ValueError, match=r"overlap the channels' 0 to 4 keV, but 6\.0 and 9\.0 came"):
        read_xray_spectrum(path, low=6.0, high=9.0)
    with pytest.raises(ValueError, match="No group of"):
        read_xray_spectrum(path, low=0.6, high=0.9)
    with pytest.raises(ValueError, match=r"needs a table EBOUNDS|needs a table MATRIX"):
        read_rmf(tmp_path / "a" / "small.arf")
    with pytest.raises(ValueError, match="columns ENERGY and SIGMA"):
        read_cross_sections(tmp_path / "a" / "small.arf", abundances="wilm")
    with fits.open(tmp_path / "a" / "small.arf") as units:
        units[1].data["ENERG_LO"] *= 1.1
        units[1].data["ENERG_HI"] *= 1.1
        units.writeto(tmp_path / "a" / "other.arf")
    with pytest.raises(ValueError, match=r"effective area has 5 energy bins from 0\.55"):
        read_xray_spectrum(path, area=tmp_path / "a" / "other.arf", low=0.5, high=4.0)
    (tmp_path / "a" / "small.rmf").unlink()
    with pytest.raises(FileNotFoundError, match=r"names the file `small\.rmf`"):
        read_xray_spectrum(path, low=0.5, high=4.0)


def test_a_wrong_first_channel_is_refused(tmp_path):
    write_files(tmp_path)
    with fits.open(tmp_path / "small.rmf", mode="update") as units:
        units["MATRIX"].header["TLMIN4"] = 3
    with pytest.raises(ValueError, match="Correct TLMIN4"):
        read_rmf(tmp_path / "small.rmf")
