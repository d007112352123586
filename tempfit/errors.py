"""What can go wrong, named, so that callers can tell a user's mistake from a failure of ours.

Every message says what is wrong, where (file, row, column, option) and what to do about it.
"""


class TempfitError(Exception):
    """Base of all errors that tempfit raises on purpose."""


class InputError(TempfitError, ValueError):
    """The user's input cannot be used; the command line exits with code 2."""


class ReadingsError(InputError):
    """A file of readings is missing, malformed or not enough for a line."""


class SettingsError(InputError):
    """A hyperparameter or option has a value that cannot be used."""


class RunsError(InputError):
    """Recorded runs that were asked for are not there, not told apart, or nothing to compare."""


class ServiceError(TempfitError, RuntimeError):
    """A service that tempfit needs (Prefect, MLflow) failed; the command line exits with code 1.

    waited: it kept silent for long before, so that to ask again would only take as long again.
    """

    def __init__(self, message: str, *, waited: bool = False):
        super().__init__(message)
        self.waited = waited
