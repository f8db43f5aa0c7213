"""What goes wrong with a journal."""


class JournalError(Exception):
    """The job cannot start, resume or finish; the message says why and what to do."""
