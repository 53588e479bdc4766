"""How a remote service is, for ``./invoke remote``."""

from __future__ import annotations

from toolchain.commands.remote import RemoteStatus


def remote_text(status: RemoteStatus) -> str:
    """Return how a remote service is, and how to use it."""
    if not status.endpoint:
        return "no service runs here; start one with: ./invoke remote up"
    lines = [f"service  {status.endpoint}"]
    if status.parts:
        lines.append("parts    " + ", ".join(f"{name} {state}" for name, state in status.parts))
        lines.append("answers  " + ("yes" if status.running else "no: see ./invoke remote logs"))
    lines.append(f"workers  {status.slots} here; more with: ./invoke worker --server URL")
    options = [f"--remote-executor {status.endpoint}"]
    if status.tokens:
        lines.append("tokens   asked for; make them with: ./invoke remote token --role client")
        options.append(f"--remote-token-file {status.token_file}")
    if status.ca_file:
        options.append(f"--remote-ca-file {status.ca_file}")
    lines.append(f"use      ./invoke build {' '.join(options)}")
    return "\n".join(lines)
