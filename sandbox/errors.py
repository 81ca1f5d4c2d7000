"""What the stand-ins complain about.

SandboxError
├── BadForm      what was posted is not the form with one archive that the ministry takes
└── BadRule      the control door was told something that it does not know
"""

from __future__ import annotations


class SandboxError(Exception):
    """Root of the errors of `sandbox`."""


class BadForm(SandboxError):
    """The request's body is not a multipart form with one archive."""


class BadRule(SandboxError):
    """The control door does not know this rule; the message says why."""
