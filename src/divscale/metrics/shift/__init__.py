"""Distance between a set and a reference, from vectors."""
