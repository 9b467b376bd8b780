"""Errors that a user can mend. Experiments print their one line and exit with code 2."""


class SemlinkError(Exception):
    """Wrong input, configuration or file. The message names the culprit and the remedy."""
