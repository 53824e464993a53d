"""Figures: small SVGs that stack on a phone and stand side by side on a desk."""
