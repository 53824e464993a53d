"""What a result is: its fingerprint, where it is stored, what would run. Knows neither Ray nor torch."""
