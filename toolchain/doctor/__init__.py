"""Looks at what a build needs of this computer, and says what to do about what is missing."""

from __future__ import annotations

from toolchain.doctor.finding import Finding, State

__all__ = ["Finding", "State"]
