"""The warning of this room."""


class ForgettingWarning(UserWarning):
    """What was asked for will remember less than it seems; the message says what would help."""
