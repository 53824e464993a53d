"""Choosing rows: duplicates that go, and subsets of a wanted diversity. Pure functions of texts and vectors."""
