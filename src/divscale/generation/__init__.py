"""What is asked of a model, and what becomes of its answers: engines, their fleet, prompts, recipes."""
