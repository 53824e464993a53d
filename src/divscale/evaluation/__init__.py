"""Scores of models on held-out rows, from per-example predictions."""
