"""What a command in the sandbox can reach: a probe tries, and must be refused everywhere.

The same probe in a container without any of the protection must get through, so that a refusal here
is the sandbox's doing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.types
import pytest
from docker.utils.proxy import ProxyConfig

from tests.containers.sandbox_support import Bench, P, engine_address
from toolchain.actions.docker_executor import HOSTNAME
from toolchain.actions.model import FIXED_ENVIRONMENT

_PROBE = rb"""
use strict; use Socket; use POSIX ();
my ($port, $secret, $engine, $report) = @ARGV;
open(my $out, '>', $report) or die "report: $!";
my %number = `uname -m` =~ /aarch64/
    ? (mount => 40, unshare => 97, clock_settime => 112, mknodat => 33)
    : (mount => 165, unshare => 272, clock_settime => 227, mknodat => 259);
sub probe {
    my ($name, $try) = @_;
    local $! = 0; my $done = 0;
    eval {
        local $SIG{ALRM} = sub { die "no answer\n" };
        alarm 5; $done = $try->(); alarm 0; 1
    } or do { alarm 0; $done = 0 };
    my $why = "$! $@"; $why =~ s/\s+/ /g;
    print $out "$name\t", ($done ? 'allowed' : 'refused'), "\t$why\n";
}
sub creates {
    my $path = shift;
    return sub { open(my $f, '>', $path) or return 0; unlink $path; 1 }
}
sub opens { my ($mode, $path) = @_; return sub { open(my $f, $mode, $path) ? 1 : 0 } }
sub connects {
    my ($address, $port) = @_;
    return sub {
        socket(my $s, PF_INET, SOCK_STREAM, 0) or return 0;
        connect($s, pack_sockaddr_in($port, inet_aton($address))) ? 1 : 0
    }
}
probe('write a file', creates("$report.other"));
probe('write /tmp', creates('/tmp/file'));
probe('resolve a name', sub { defined gethostbyname('example.com') ? 1 : 0 });
probe('connect to the host', connects('127.0.0.1', $port));
probe('reach a network', sub {
    socket(my $s, PF_INET, SOCK_DGRAM, 0) or return 0;
    connect($s, pack_sockaddr_in(9, inet_aton('192.0.2.1'))) ? 1 : 0
});
probe('find an interface', sub {
    opendir(my $d, '/sys/class/net') or return 0;
    # Tunnels of the kernel are in every network namespace, and down.
    scalar grep { !/^\.|^lo$|^(tunl|sit|gre|gretap|erspan|ip_vti|ip6_vti|ip6tnl|ip6gre)\d*$/ }
        readdir $d
});
probe('write the root', creates('/file'));
probe('write /etc', creates('/etc/file'));
probe('write /usr', creates('/usr/file'));
probe('write /var/tmp', creates('/var/tmp/file'));
probe('write /dev', creates('/dev/file'));
probe('add to /project', creates('/project/file'));
probe('change an input', opens('+<', '/project/folder/input'));
probe('loosen an input', sub { chmod(0777, '/project/folder/input') });
probe('read the home of the host', opens('<', $secret));
probe('become root', sub { POSIX::setuid(0); $> == 0 && $< == 0 });
probe('become another group', sub { POSIX::setgid(1); $( =~ /^1\b/ });
probe('be given a capability', sub { `cat /proc/self/status` =~ /^CapBnd:\s*0*[1-9a-f]/m });
probe('gain privileges', sub { `cat /proc/self/status` =~ /^NoNewPrivs:\s*0/m });
probe('change the owner', sub { chown(1, 1, $report) });
mkdir '/tmp/mount';
my ($kind, $place) = ('tmpfs', '/tmp/mount');
probe('mount', sub { syscall($number{mount}, $kind, $place, $kind, 0, 0) == 0 });
probe('make a namespace', sub { syscall($number{unshare}, 0x00020000) == 0 });
my ($device, $no_time) = ('/tmp/device', pack('qq', -1, -1));
probe('make a device', sub { syscall($number{mknodat}, -100, $device, 0020600, 0x103) == 0 });
probe('open a raw socket', sub { socket(my $s, PF_INET, SOCK_RAW, 1) });
probe('open a packet socket', sub { socket(my $s, 17, SOCK_RAW, 0x0300) });
probe('write /proc/sys', opens('+<', '/proc/sys/kernel/hostname'));
probe('write /sys', opens('+<', '/sys/kernel/mm/transparent_hugepage/enabled'));
probe('reach the Docker socket', sub {
    scalar grep { -S $_ } $engine, '/var/run/docker.sock', '/run/docker.sock'
});
# Nobody is asked to set the clock for real: the time given is not a time.
probe('set the clock', sub { syscall($number{clock_settime}, 0, $no_time); $! == POSIX::EINVAL() });
close $out;
"""

_ALLOWED = ["write a file", "write /tmp"]
_REFUSED = [
    "resolve a name",
    "connect to the host",
    "reach a network",
    "find an interface",
    "write the root",
    "write /etc",
    "write /usr",
    "write /var/tmp",
    "write /dev",
    "add to /project",
    "change an input",
    "loosen an input",
    "read the home of the host",
    "become root",
    "become another group",
    "be given a capability",
    "gain privileges",
    "change the owner",
    "mount",
    "make a namespace",
    "make a device",
    "open a raw socket",
    "open a packet socket",
    "write /proc/sys",
    "write /sys",
    "reach the Docker socket",
    "set the clock",
]
# The machine that runs the test may have no network, and any engine mounts /sys read-only.
_WITHOUT_CONTROL = {"resolve a name", "reach a network", "find an interface", "write /sys"}
# A rootless engine's root is an ordinary user outside, and may not do these anywhere.
_NEED_REAL_ROOT = {"make a device", "set the clock"}


class _Reports:
    def __init__(self, sandboxed: str, unprotected: str) -> None:
        self.sandboxed = _parse(sandboxed)
        self.unprotected = _parse(unprotected)


def _parse(report: str) -> dict[str, str]:
    return {
        name: f"{verdict} ({why})"
        for name, verdict, why in (line.split("\t") for line in report.splitlines())
    }


@pytest.fixture(scope="module")
def listening_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def reports(
    engine: Any, base_image: str, listening_port: int, tmp_path_factory: pytest.TempPathFactory
) -> _Reports:
    folder = tmp_path_factory.mktemp("isolation")
    home = folder / "home"
    home.mkdir()
    secret = home / "secret"
    secret.write_text("secret")
    folder.chmod(0o755)
    home.chmod(0o755)
    address = engine_address(engine.client)
    arguments = [
        "/usr/bin/perl",
        "/project/probe.pl",
        str(listening_port),
        str(secret),
        address.removeprefix("unix://"),
        "/out/report",
    ]
    bench = Bench(engine, base_image, folder)
    inputs = {P("probe.pl"): _PROBE, P("folder/input"): b"content"}
    sandboxed = bench.run(bench.step(*arguments, inputs=inputs, output="report")).decode()

    for path, data in inputs.items():
        (folder / "open" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "open" / path).write_bytes(data)
    out = folder / "open-out"
    out.mkdir()
    mounts = [
        docker.types.Mount(target, str(source), type="bind")
        for target, source in (
            ("/project", folder / "open"),
            ("/out", out),
            (str(home), home),
            ("/run/docker.sock", address.removeprefix("unix://")),
        )
    ]
    # Not "privileged": where these tests run, root itself may lack some capability.
    api = engine.client.api
    host = api.create_host_config(
        network_mode="host",
        mounts=mounts,
        cap_add=["SYS_ADMIN", "NET_ADMIN", "SYS_TIME"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
    )
    host |= {"MaskedPaths": [], "ReadonlyPaths": []}
    container = api.create_container(base_image, arguments, host_config=host)
    try:
        api.start(container)
        assert api.wait(container)["StatusCode"] == 0, api.logs(container)
    finally:
        api.remove_container(container, force=True)
    return _Reports(sandboxed, (out / "report").read_text())


@pytest.mark.parametrize("name", _REFUSED)
def test_the_sandbox_refuses_to(reports: _Reports, name: str) -> None:
    assert reports.sandboxed[name].startswith("refused")


@pytest.mark.parametrize("name", _ALLOWED)
def test_the_sandbox_lets_a_command(reports: _Reports, name: str) -> None:
    assert reports.sandboxed[name].startswith("allowed")


@pytest.mark.parametrize("name", [name for name in _REFUSED if name not in _WITHOUT_CONTROL])
def test_without_the_sandbox_a_command_could(reports: _Reports, engine: Any, name: str) -> None:
    if engine.rootless and name in _NEED_REAL_ROOT:
        return
    assert reports.unprotected[name].startswith("allowed")


def test_every_probe_is_judged(reports: _Reports) -> None:
    assert set(reports.sandboxed) == set(_REFUSED) | set(_ALLOWED)


@pytest.fixture
def bench(engine: Any, base_image: str, tmp_path: Path) -> Bench:
    return Bench(engine, base_image, tmp_path)


def test_the_environment_is_the_steps_and_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    proxies = ProxyConfig(http="http://user:secret@proxy:1")
    monkeypatch.setattr(bench.client.api, "_proxy_configs", proxies)
    text = bench.run(
        bench.step("/usr/bin/env", "sh", "-c", "env > /out/out", environment={"MINE": "1"})
    ).decode()
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert "secret" not in text
    assert found.pop("PATH")
    found.pop("PWD", None)
    found.pop("_", None)
    found.pop("SHLVL", None)
    found.pop("OLDPWD", None)
    assert found == {**FIXED_ENVIRONMENT, "MINE": "1", "HOSTNAME": HOSTNAME}


def test_processes_of_the_host_are_not_seen(bench: Bench) -> None:
    script = "ls -d /proc/[0-9]* | wc -l > /out/out; cat /proc/sys/kernel/hostname >> /out/out"
    count, hostname = bench.run(bench.shell(script)).decode().split()
    assert int(count) < 10
    assert hostname == HOSTNAME


def test_what_a_command_writes_belongs_to_the_user(bench: Bench) -> None:
    script = "umask 077; echo x > /out/out; chmod 4755 /out/out; mkdir -m 0 /out/rest"
    step = bench.shell(script)
    assert bench.run(step) == b"x\n"
    stored = list(bench.layout.store.rglob("*"))
    assert any(path.is_file() for path in stored)
    assert {path.stat().st_uid for path in stored} == {os.geteuid()}
    assert bench.scratch() == []


def test_an_images_entry_point_and_health_check_are_not_used(bench: Bench) -> None:
    container = bench.client.containers.create(bench.image, "true")
    image = container.commit(
        conf={"Entrypoint": ["/bin/false"], "Healthcheck": {"Test": ["CMD", "false"]}}
    )
    container.remove()
    try:
        assert bench.run(bench.shell("echo ran > /out/out", image=image.id)) == b"ran\n"
    finally:
        bench.client.images.remove(image.id)
