"""Memories that are one quadratic around what earlier tasks found."""
