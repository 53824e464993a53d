"""Requests -> completions through an OpenAI-compatible endpoint: no engine, no GPU, no actor of its own."""
