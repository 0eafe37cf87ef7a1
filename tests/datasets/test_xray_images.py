"""Readers of X-ray images."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import center_of_mass

from bayesastro.datasets.xray_images import read_counts_image, read_exposure, read_psf


def test_chandra_images(published_file):
    """Sgr A*, 49.5 ks each; the two tangent points differ by half a pixel."""
    first, second = (
        read_counts_image(published_file(f"xray_image_chandra_gc/chandra-counts-obs-id-{number}.fits.gz"))
        for number in (4683, 4684)
    )
    assert first.counts.shape == (256, 256)
    assert (first.counts.sum(), second.counts.sum()) == (13586, 13829)
    assert first.exposure == pytest.approx(49528.2, abs=0.1)
    assert first.pixel_size == pytest.approx(0.246, abs=1e-3)
    offset = second.offset_from(first)
    assert offset == pytest.approx(
        (-0.000037333 / 6.83333e-05, 0.00002615661 * np.cos(np.radians(29)) / 6.83333e-05), abs=0.01
    )
    psf = read_psf(published_file("xray_image_chandra_gc/chandra-psf-obs-id-4684.fits.gz"), 31, offset)
    assert psf.sum() == pytest.approx(1.0)
    assert center_of_mass(psf) == pytest.approx((15 + offset[0], 15 + offset[1]), abs=0.05)


def test_xmm_images(published_file):
    name = "xray_image_xmm_a1835/P0098010101M2U009"
    image = read_counts_image(published_file(f"{name}IMAGE_3000.fits.gz"))
    exposure = read_exposure(published_file(f"{name}EXPMAP3000.fits.gz"))
    assert image.counts.shape == exposure.shape == (648, 648)
    assert image.counts.sum() == 36174
    assert image.pixel_size == pytest.approx(4.0)


def test_wrong_files_are_refused(tmp_path):
    def file(data, **header):
        path = tmp_path / "image.fits"
        fits.PrimaryHDU(data, header=fits.Header(header)).writeto(path, overwrite=True)
        return path

    with pytest.raises(ValueError, match="must hold an image"):
        read_counts_image(file(None))
    with pytest.raises(ValueError, match="must hold counts"):
        read_counts_image(file(np.full((3, 3), 0.5)))
    with pytest.raises(ValueError, match="must have square pixels"):
        read_counts_image(file(np.ones((3, 3)), CDELT1=1.0, CDELT2=2.0))
    with pytest.raises(ValueError, match="exposures below 0"):
        read_exposure(file(-np.ones((3, 3))))
    with pytest.raises(ValueError, match="must be odd"):
        read_psf(file(np.ones((3, 3))), 2)
    with pytest.raises(ValueError, match="with a positive sum"):
        read_psf(file(np.zeros((3, 3))), 3)
    with pytest.raises(FileNotFoundError):
        read_exposure(tmp_path / "nothing.fits")
