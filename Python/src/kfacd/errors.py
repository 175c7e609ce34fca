"""The base of the errors of this package."""


class KfacdError(Exception):
    """Any error of this package."""
