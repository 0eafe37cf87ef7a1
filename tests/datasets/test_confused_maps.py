"""The reader of XID+'s tile and of its emulator: what the files hold, and files that lack something."""

import numpy as np
import pytest
from confused import small_map

from bayesastro.datasets import read_emulator_weights, read_xidplus_tile

TILE, EMULATOR = "xidplus/xid_spire_tile.npz", "xidplus/cigale_emulator.npz"


def test_the_tile_has_51_sources_in_three_maps(published_file):
    maps = read_xidplus_tile(published_file(TILE))
    assert {name: one.brightness.size for name, one in maps.items()} == {"psw250": 870, "pmw350": 453, "plw500": 219}
    for one in maps.values():
        assert one.source_x.shape == one.flux_upper.shape == (51,)
        assert one.background == (-5.0, 5.0)
        assert one.pixel.max() < one.brightness.size
        np.testing.assert_allclose(one.beam.max(), 1.0)
    one = maps["psw250"]
    image = one.image(one.brightness)
    assert image.shape == (33, 34)
    assert np.isfinite(image).sum() == 870
    place = np.argmax(one.brightness)
    assert image[one.y[place] - one.y.min(), one.x[place] - one.x.min()] == one.brightness.max()


def test_flux_bounds_are_the_brightest_pixel_and_the_background(published_file):
    """XID+'s `upper_lim_map`: the brightest pixel that sees the source, |mean| + 2 sd of the background above."""
    for one in read_xidplus_tile(published_file(TILE)).values():
        brightest = [one.brightness[one.pixel[one.source == s]].max() for s in range(51)]
        np.testing.assert_allclose(one.flux_upper, np.array(brightest) + 5.0 + 2 * 5.0)


def test_the_emulator_has_five_layers(published_file):
    layers = read_emulator_weights(published_file(EMULATOR))
    assert [w.shape for w in layers.weights] == [(6, 128), (128, 128), (128, 128), (128, 128), (128, 9)]
    assert [b.shape for b in layers.biases] == [(128,)] * 4 + [(9,)]


def test_an_image_is_empty_where_there_is_no_pixel():
    one = small_map()
    image = one.image(np.arange(81.0))
    np.testing.assert_array_equal(image, np.arange(81.0).reshape(9, 9))


def test_files_that_lack_arrays_are_refused(tmp_path):
    path = tmp_path / "tile.npz"
    np.savez(path, psw250_sim=np.ones(3))
    with pytest.raises(ValueError, match=r"needs the arrays \['psw250_snim'"):
        read_xidplus_tile(path)
    for arrays, message in [
        ({}, "must hold layers"),
        ({"arr_0__0__0": np.ones((2, 3))}, "weights and biases"),
        (
            {
                "arr_0__0__0": np.ones((2, 3)),
                "arr_0__0__1": np.ones(3),
                "arr_0__2__0": np.ones((4, 3)),
                "arr_0__2__1": np.ones(3),
            },
            "sizes fit",
        ),
    ]:
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=message):
            read_emulator_weights(path)
