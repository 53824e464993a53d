"""Filters: which rows of a generated set go, and why. One file each, pure functions."""
