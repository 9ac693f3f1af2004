"""Memories of what the model before would have said."""
