"""What the scores of a study say, and how surely."""
