"""What can go wrong between us and a hypervisor, as values a person can act on.

Every error carries one line of what is wrong and one line of what to do about it. The command
line prints both and exits with `status`; nobody sees a traceback.
"""

from __future__ import annotations


class TargetError(Exception):
    """A target could not be run. `remedy` is what to do about it; `status` the exit status."""

    status = 2

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  {self.remedy}" if self.remedy else self.message


class BadImage(TargetError):
    """The file given is not what it should be (not a Xen, not an ELF, unreadable)."""

    status = 2


class MissingTool(TargetError):
    """This machine lacks something; `remedy` names the command that brings it."""

    status = 3
