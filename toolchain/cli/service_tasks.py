"""Tasks of remote execution: a service on this machine, and workers."""

from __future__ import annotations

import os

from invoke.context import Context

from toolchain.cli.option_groups import (
    RESULT,
    ResultOptions,
)
from toolchain.cli.option_values import whole_number
from toolchain.cli.printing import show, show_json
from toolchain.cli.task import task
from toolchain.console import make_reporter


@task(
    help={
        "listen": "address to listen at; another one than this machine's own asks for tokens and "
        "is encrypted",
        "port": "to listen at",
        "workers": "how many actions this machine runs side by side; 0 for none",
        "tokens": "ask for a token on this machine too",
        "encrypt": "encrypt on this machine too",
    }
)
def remote_up(
    _context: Context,
    listen: str = "127.0.0.1",
    port: str = "50051",
    workers: str = "2",
    tokens: bool = False,
    encrypt: bool = False,
    result: ResultOptions = RESULT,
) -> None:
    """Start a remote execution service on this machine, with workers (./invoke remote up)."""
    from toolchain.commands.remote import chosen_listen, up
    from toolchain.render.remote import remote_text

    number = whole_number("--port", port, at_least=1024, at_most=65535)
    slots = whole_number("--workers", workers, at_least=0, at_most=64)
    where = chosen_listen(listen, number, tokens=tokens, encrypt=encrypt)
    found = up(make_reporter(quiet=result.silent), where, slots)
    if result.json:
        show_json("remote-status", **found.as_json())
        return
    show(remote_text(found))


@task(help={"json": "print the result as JSON"})
def remote_status(_context: Context, json: bool = False) -> None:
    """Tell how the service of 'remote up' is (./invoke remote status)."""
    from toolchain.commands.remote import status
    from toolchain.render.remote import remote_text

    found = status(make_reporter(quiet=True))
    if json:
        show_json("remote-status", **found.as_json())
        return
    show(remote_text(found))


@task(help={"lines": "how many of each part"})
def remote_logs(_context: Context, lines: str = "40") -> None:
    """Show what the parts of the service wrote last (./invoke remote logs)."""
    from toolchain.commands.remote import logs

    show(logs(make_reporter(quiet=True), whole_number("--lines", lines, at_least=1)))


@task(help={"delete": "remove its state too: blobs, results, certificates, the tokens' secret"})
def remote_down(_context: Context, delete: bool = False) -> None:
    """End the service; its state stays for the next 'remote up' (./invoke remote down)."""
    from toolchain.commands.remote import down

    ran = down(make_reporter(quiet=False), delete=delete)
    show("the service has ended" if ran else "the service did not run")


@task(
    help={
        "role": "client, worker, or writer: a client that may also store results",
        "holder": "who gets it; stands in the service's log",
        "days": "for how long it is good",
    }
)
def remote_token(
    _context: Context, role: str = "client", holder: str = "someone", days: str = "30"
) -> None:
    """Print a token for the service of 'remote up' (./invoke remote token --role client)."""
    from toolchain.commands.remote import token

    good = whole_number("--days", days, at_least=1, at_most=3650)
    show(token(make_reporter(quiet=True), role, holder, good))


@task(
    help={
        "server": "grpc[s]://HOST:PORT[/INSTANCE] of the service to work for",
        "slots": "how many actions run side by side; 0 for as many as there are processors",
        "name": "of this worker; one that stays the same when not given",
        "token-file": "file with this worker's token",
        "ca-file": "certificates to trust, in PEM",
        "quiet": "tell warnings only",
    }
)
def worker(
    _context: Context,
    server: str = "",
    slots: str = "0",
    name: str = "",
    token_file: str = "",
    ca_file: str = "",
    quiet: bool = False,
) -> None:
    """Run actions for a remote execution service, in the sandbox of local steps, until Ctrl-C."""
    from toolchain.commands.remote import chosen_worker, work

    number = whole_number("--slots", slots, at_least=0, at_most=256) or os.cpu_count() or 1
    chosen = chosen_worker(server, number, name, token_file=token_file, ca_file=ca_file)
    show(f"{work(make_reporter(quiet=quiet), chosen)} actions were finished")
