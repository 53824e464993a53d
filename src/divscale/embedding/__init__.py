"""Texts to vectors: the fleet and its encoders."""
