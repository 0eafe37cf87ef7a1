"""Programs of fields: correlated fields as parts of any program, and images, spectra and maps made of them."""

__all__: list[str] = []
