"""Real data in, mixes out: read, validate, split, draw, compose, export; and two worlds that need no download."""
