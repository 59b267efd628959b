"""The one exception that a user may see: a sentence, never a traceback."""


class InputError(ValueError):
    """Something that was given is wrong: says which thing, what is wrong with it and what to do."""
