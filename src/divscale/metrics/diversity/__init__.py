"""Diversity of one set of vectors."""
