"""The errors that reach a person; each carries one clear sentence."""

from __future__ import annotations


class RequestError(ValueError):
    """Something the caller can mend; the message is one clear sentence for a person."""


class EngineFailure(RuntimeError):
    """Something that nobody asked for: the log has its traceback, and the message is one sentence for a person."""
