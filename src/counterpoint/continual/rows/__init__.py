"""Memories that hold some of the rows."""
