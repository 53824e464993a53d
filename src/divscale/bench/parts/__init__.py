"""One file a part of the product: what it is given, and the seconds that its own path took for it."""
