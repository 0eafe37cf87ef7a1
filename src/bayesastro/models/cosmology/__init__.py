"""Cosmological programs: the expansion history from distances and clocks."""
