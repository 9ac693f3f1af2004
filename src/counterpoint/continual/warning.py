"""The warning of this room."""

__all__ = ["ForgettingWarning"]


class ForgettingWarning(UserWarning):
    """What was asked for will remember less than it seems; the message says what would help."""
