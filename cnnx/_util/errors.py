"""Whose an error is."""


def from_the_system(error):
    """Whether an error may be the system's: not an OSError without a number, as signal handlers of users raise."""
    return not isinstance(error, OSError) or error.errno is not None
