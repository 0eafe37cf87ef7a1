"""Programs of fields and images: photon counts, interferometry, large-scale structure."""

__all__: list[str] = []
