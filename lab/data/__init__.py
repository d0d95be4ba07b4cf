"""Datasets: what they are made of, how they are split, prepared, changed and read."""
