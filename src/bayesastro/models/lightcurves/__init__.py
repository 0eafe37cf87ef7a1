"""Programs of light curves: supernovae, transits, stellar variability."""

__all__: list[str] = []
