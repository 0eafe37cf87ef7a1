"""Programs of spectra and photometry: galaxies, stars, plasmas, exoplanet atmospheres."""

__all__: list[str] = []
