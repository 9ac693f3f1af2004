"""Data cut into tasks, learnt one after the other, and what is left of each."""
