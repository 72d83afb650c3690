"""Measures how fast Tocsin accepts alerts, as ratios to a bare view that stores the same body: `python -m bench`."""
