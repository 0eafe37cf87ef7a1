"""Programs of strong gravitational lenses: images, positions of multiple images, time delays."""

__all__: list[str] = []
