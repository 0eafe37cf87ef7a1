"""What the commands do: one module each, imported when its command runs."""

__all__ = []
