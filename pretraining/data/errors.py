"""What goes wrong with an archive as a whole; a single bad image goes into the report instead."""


class ArchiveError(ValueError):
    """An archive, index or store that cannot be used; the message names it and says what to do."""
