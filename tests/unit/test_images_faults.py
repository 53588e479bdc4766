"""What apt, pip and cargo say when a fetch fails, as they said it to servers on 127.0.0.1.

The tests of the containers let today's clients say it anew; here are what they said, and what may
stand around it.
"""

# The clients' own lines are long.
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import (
    DigestMismatchError,
    DiskFullError,
    NetworkError,
    PinnedPackageGoneError,
    ToolchainError,
)
from toolchain.images.faults import fetch_error, is_transient, known_error

ZEROS, OTHER = "0" * 64, "1bcc52ebb20ea38df02134ba1fd47365" * 2
PIP_RETRY = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after "
    "connection broken by "
)
PIP_NONE = (
    "ERROR: Could not find a version that satisfies the requirement tiny==1.0 (from versions: none)\n"
    "ERROR: No matching distribution found for tiny==1.0\n"
)


@dataclass(frozen=True)
class Case:
    said: str
    kind: type[ToolchainError]
    why: str
    transient: bool = False


CASES = {
    "apt, other digest": Case(
        "Err:1 http://127.0.0.1/debian tst/main amd64 tinydeb all 1.0\n  Hash Sum mismatch\n"
        "E: Failed to fetch http://127.0.0.1/debian/pool/tinydeb_1.0_all.deb  Hash Sum mismatch\n"
        f"   Hashes of expected file:\n    - SHA256:{ZEROS}\n    - Filesize:418 [weak]\n"
        f"   Hashes of received file:\n    - SHA256:{OTHER}\n    - Filesize:418 [weak]\n"
        "E: Some files failed to download\n",
        DigestMismatchError,
        "cache is as it was",
    ),
    "apt, other index": Case(
        "E: Failed to fetch http://127.0.0.1/debian/dists/tst/main/binary-amd64/Packages  File has "
        "unexpected size (188 != 187). Mirror sync in progress? [IP: 127.0.0.1 80]\n"
        f"   Hashes of expected file:\n    - Filesize:187 [weak]\n    - SHA256:{ZEROS}\n",
        DigestMismatchError,
        "cache is as it was",
    ),
    "apt, version gone": Case(
        "Package tinydeb is not available, but is referred to by another package.\n"
        "E: Version '1.1' for 'tinydeb' was not found\n",
        PinnedPackageGoneError,
        "newest version only",
    ),
    "apt, package gone": Case(
        "E: Unable to locate package tinierdeb\n", PinnedPackageGoneError, "newest version only"
    ),
    "apt, package gone, where its progress stands": Case(
        "Reading package lists...\nBuilding dependency tree...E: Unable to locate package tinierdeb\n",
        PinnedPackageGoneError,
        "newest version only",
    ),
    "apt, version gone, where its progress stands": Case(
        "Reading state information...E: Version '1.1' for 'tinydeb' was not found\n",
        PinnedPackageGoneError,
        "newest version only",
    ),
    "apt, file gone": Case(
        "Err:1 http://127.0.0.1/debian tst/main amd64 tinydeb all 1.0\n"
        "  404  Not Found [IP: 127.0.0.1 80]\n"
        "E: Failed to fetch http://127.0.0.1/debian/pool/tinydeb_1.0_all.deb  404  Not Found "
        "[IP: 127.0.0.1 80]\nE: Some files failed to download\n",
        PinnedPackageGoneError,
        "newest version only",
    ),
    "apt, 503": Case(
        "Err:1 http://127.0.0.1/debian tst InRelease\n  503  Service Unavailable [IP: 127.0.0.1 80]\n"
        "E: Failed to fetch http://127.0.0.1/debian/dists/tst/InRelease  503  Service Unavailable "
        "[IP: 127.0.0.1 80]\n",
        NetworkError,
        "did not answer in time or broke off",
        transient=True,
    ),
    "apt, cut": Case(
        "E: Failed to fetch http://127.0.0.1/debian/pool/tinydeb_1.0_all.deb  Error reading from "
        "server. Remote end closed connection [IP: 127.0.0.1 80]\n",
        NetworkError,
        "broke off",
        transient=True,
    ),
    "apt, 403": Case(
        "E: Failed to fetch http://127.0.0.1/debian/dists/tst/main/binary-amd64/Packages  403  "
        "Forbidden [IP: 127.0.0.1 80]\nE: Some index files failed to download.\n",
        NetworkError,
        "refuses",
    ),
    "apt, unsigned": Case(
        "Reading package lists...\n"
        "E: The repository 'http://127.0.0.1/debian tst Release' is not signed.\n",
        NetworkError,
        "not the mirror",
    ),
    "apt, no such suite": Case(
        "Err:2 http://127.0.0.1/debian tst Release\n  404  Not Found [IP: 127.0.0.1 80]\n"
        "E: The repository 'http://127.0.0.1/debian tst Release' does not have a Release file.\n",
        NetworkError,
        "not the mirror",
    ),
    "apt, login page": Case(
        "E: Failed to fetch http://127.0.0.1/debian/dists/tst/InRelease  Clearsigned file isn't "
        "valid, got 'NOSPLIT' (does the network require authentication?)\n",
        NetworkError,
        "not the mirror",
    ),
    "apt, proxy wants a password": Case(
        "E: Failed to fetch http://nowhere.invalid/debian/dists/tst/InRelease  407  Proxy "
        "Authentication Required [IP: 127.0.0.1 80]\n",
        NetworkError,
        "the proxy",
    ),
    "apt, nothing listens": Case(
        "Err:1 http://127.0.0.1:55795/debian tst InRelease\n  Could not connect to 127.0.0.1:55795 "
        "(127.0.0.1). - connect (111: Connection refused)\n"
        "E: Failed to fetch http://127.0.0.1:55795/debian/dists/tst/InRelease  Unable to connect to "
        "127.0.0.1:55795:\n",
        NetworkError,
        "cannot be reached",
    ),
    "apt, no name": Case(
        "E: Failed to fetch http://nowhere.invalid/debian/dists/tst/InRelease  Could not resolve "
        "'nowhere.invalid'\n",
        NetworkError,
        "cannot be resolved",
    ),
    "apt, no network": Case(
        "E: Failed to fetch http://nowhere.invalid/debian/dists/tst/InRelease  Temporary failure "
        "resolving 'nowhere.invalid'\n",
        NetworkError,
        "cannot be resolved",
    ),
    "apt, silence": Case(
        "E: Failed to fetch http://127.0.0.1/debian/dists/tst/InRelease  Connection failed [IP: "
        "127.0.0.1 80]\n",
        NetworkError,
        "cannot be reached",
    ),
    "apt, silent host": Case(
        "E: Failed to fetch http://127.0.0.1/debian/dists/tst/InRelease  Could not connect to "
        "127.0.0.1:80 (127.0.0.1), connection timed out\n",
        NetworkError,
        "in time",
        transient=True,
    ),
    "apt, certificate": Case(
        "E: Failed to fetch https://localhost/debian/dists/tst/InRelease  SSL connection failed: "
        "error:0A000086:SSL routines::certificate verify failed / Success [IP: 127.0.0.1 443]\n",
        NetworkError,
        "certificate is not trusted",
    ),
    "apt, older, certificate": Case(
        "E: Failed to fetch https://localhost/debian/dists/tst/InRelease  Certificate verification "
        "failed: The certificate is NOT trusted. The certificate issuer is unknown.\n",
        NetworkError,
        "certificate is not trusted",
    ),
    "apt, full disk": Case(
        "E: You don't have enough free space in /out/.\n", DiskFullError, "the client said last"
    ),
    "pip, other digest": Case(
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have "
        "updated the package versions, please update the hashes.\n"
        "    tiny==1.0 from http://127.0.0.1/files/tiny-1.0-py3-none-any.whl (from -r l (line 1)):\n"
        f"        Expected sha256 {ZEROS}\n             Got        {OTHER}\n",
        DigestMismatchError,
        "cache is as it was",
    ),
    "pip, version gone": Case(
        "ERROR: Could not find a version that satisfies the requirement tiny==1.1 (from versions: "
        "1.0)\nERROR: No matching distribution found for tiny==1.1\n",
        PinnedPackageGoneError,
        "withdrawn",
    ),
    "pip, file gone": Case(
        "ERROR: Could not install requirement tiny==1.0 from http://127.0.0.1/files/tiny.whl because "
        "of HTTP error 404 Client Error: Not Found for url: http://127.0.0.1/files/tiny.whl\n",
        PinnedPackageGoneError,
        "withdrawn",
    ),
    "pip, index refuses or is down": Case(PIP_NONE, NetworkError, "offers no version of it at all"),
    "pip, file refused": Case(
        "ERROR: Could not install requirement tiny==1.0 from http://127.0.0.1/files/tiny.whl because "
        "of HTTP error 403 Client Error: Forbidden for url: http://127.0.0.1/files/tiny.whl\n",
        NetworkError,
        "refuses",
    ),
    "pip, 503": Case(
        "pip._vendor.requests.exceptions.RetryError: HTTPConnectionPool(host='127.0.0.1', port=80): "
        "Max retries exceeded with url: /files/tiny.whl (Caused by ResponseError('too many 503 error "
        "responses'))\n",
        NetworkError,
        "broke off",
        transient=True,
    ),
    "pip, cut": Case(
        "error: incomplete-download\n\u00d7 Download failed because not enough bytes were received (346 "
        "bytes/692 bytes)\nnote: This is an issue with network connectivity, not pip.\n",
        NetworkError,
        "broke off",
        transient=True,
    ),
    "pip, older, cut": Case(
        "pip._vendor.urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(346 bytes "
        "read, 346 more expected)', IncompleteRead(346 bytes read, 346 more expected))\n",
        NetworkError,
        "broke off",
        transient=True,
    ),
    "pip, nothing listens": Case(
        f"{PIP_RETRY}'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at "
        "0x7f>: Failed to establish a new connection: [Errno 111] Connection refused')': "
        f"/simple/tiny/\n{PIP_NONE}",
        NetworkError,
        "cannot be reached",
    ),
    "pip, no name": Case(
        f"{PIP_RETRY}'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at "
        "0x7f>: Failed to establish a new connection: [Errno -2] Name or service not known')': "
        f"/simple/tiny/\n{PIP_NONE}",
        NetworkError,
        "cannot be resolved",
    ),
    "pip, dead proxy": Case(
        f"{PIP_RETRY}'ProxyError('Cannot connect to proxy.', NewConnectionError('<x>: Failed to "
        f"establish a new connection: [Errno 111] Connection refused'))': /simple/tiny/\n{PIP_NONE}",
        NetworkError,
        "the proxy",
    ),
    "pip, proxy wants a password": Case(
        f"{PIP_RETRY}'ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 "
        f"Proxy Authentication Required'))': /simple/tiny/\n{PIP_NONE}",
        NetworkError,
        "the proxy",
    ),
    "pip, silence": Case(
        f"""{PIP_RETRY}'ReadTimeoutError("HTTPConnectionPool(host='127.0.0.1', port=37347): Read """
        f"""timed out. (read timeout=2.0)")': /simple/tiny/\n{PIP_NONE}""",
        NetworkError,
        "in time",
        transient=True,
    ),
    "pip, certificate": Case(
        "Could not fetch URL https://localhost/simple/tiny/: There was a problem confirming the ssl "
        "certificate: HTTPSConnectionPool(host='localhost', port=443): Max retries exceeded with "
        "url: /simple/tiny/ (Caused by SSLError(SSLCertVerificationError(1, '[SSL: "
        "CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate "
        f"(_ssl.c:1006)'))) - skipping\n{PIP_NONE}",
        NetworkError,
        "certificate is not trusted",
    ),
    "pip, full disk": Case(
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
        DiskFullError,
        "the client said last",
    ),
    "cargo, other digest": Case(
        "error: failed to verify the checksum of `tinycrate v1.0.0 (registry "
        "`sparse+http://127.0.0.1/index/`)`\n",
        DigestMismatchError,
        "cache is as it was",
    ),
    "cargo, version gone": Case(
        "error: could not find `tinycrate@1.0.1` in registry `sparse+http://127.0.0.1/index/`\n",
        PinnedPackageGoneError,
        "withdrawn",
    ),
    "cargo, file gone": Case(
        "error: failed to download from `http://127.0.0.1/crates/tinycrate/1.0.0`\n\nCaused by:\n"
        "  failed to get successful HTTP response from `http://127.0.0.1/crates/tinycrate/1.0.0` "
        "(127.0.0.1), got 404\n  body:\n  no\n",
        PinnedPackageGoneError,
        "withdrawn",
    ),
    "cargo, no index": Case(
        "error: config.json not found in registry\n",
        NetworkError,
        "not the mirror",
    ),
    "cargo, 503": Case(
        "error: download of config.json failed\n\nCaused by:\n  failed to get successful HTTP "
        "response from `http://127.0.0.1/index/config.json` (127.0.0.1), got 503\n",
        NetworkError,
        "broke off",
        transient=True,
    ),
    "cargo, 403": Case(
        "error: download of config.json failed\n\nCaused by:\n  failed to get successful HTTP "
        "response from `http://127.0.0.1/index/config.json` (127.0.0.1), got 403\n",
        NetworkError,
        "refuses",
    ),
    "cargo, cut": Case(
        "error: failed to download from `http://127.0.0.1/crates/tinycrate/1.0.0`\n\nCaused by:\n"
        "  [18] Transferred a partial file (end of response with 106 bytes missing)\n",
        NetworkError,
        "broke off",
        transient=True,
    ),
    "cargo, proxy wants a password": Case(
        "error: download of config.json failed\n\nCaused by:\n  [56] Failure when receiving data "
        "from the peer (CONNECT tunnel failed, response 407)\n",
        NetworkError,
        "the proxy",
    ),
    "cargo, nothing listens": Case(
        "error: download of config.json failed\n\nCaused by:\n  [7] Could not connect to server "
        "(Failed to connect to 127.0.0.1 port 51157 after 0 ms: Could not connect to server)\n",
        NetworkError,
        "cannot be reached",
    ),
    "cargo, no name": Case(
        "error: download of config.json failed\n\nCaused by:\n  [6] Could not resolve hostname "
        "(Could not resolve host: nowhere.invalid)\n",
        NetworkError,
        "cannot be resolved",
    ),
    "cargo, silence": Case(
        "error: download of config.json failed\n\nCaused by:\n  [28] Timeout was reached (Operation "
        "too slow. Less than 10 bytes/sec transferred the last 2 seconds)\n",
        NetworkError,
        "in time",
        transient=True,
    ),
    "cargo, certificate": Case(
        "error: download of config.json failed\n\nCaused by:\n  [60] SSL peer certificate or SSH "
        "remote key was not OK (SSL certificate problem: self-signed certificate)\n",
        NetworkError,
        "certificate is not trusted",
    ),
    "cargo, full disk": Case(
        "error: failed to open `/out/cargo/x`\n\nCaused by:\n  No space left on device (os error "
        "28)\n",
        DiskFullError,
        "the client said last",
    ),
    "anything else": Case("Segmentation fault\n", NetworkError, "the client said last"),
}

# What clients also say, and which tells nothing about a fault.
NOISE = (
    "Collecting async-timeout==5.0.1 (from -r /opt/requirements.lock (line 3))",
    "  Downloading http://127.0.0.1/proxy/files/timeout-1.0-py3-none-any.whl (504 kB)",
    "Get:7 http://127.0.0.1/apt-proxy/debian tst/main amd64 libproxy1v5 amd64 0.5 [500 kB]",
    "Need to get 503 kB of archives.",
    "After this operation, 407 MB of additional disk space will be used.",
    "Fetched 502 kB in 0s (404 kB/s)",
    "Selecting previously unselected package ca-certificates.",
    "Saved /out/wheels/hash_mismatch-403-py3-none-any.whl",
    "    Updating `proxy` index",
)


@pytest.mark.parametrize("name", CASES)
def test_each_fault_has_its_class_reason_and_cure(name: str) -> None:
    case = CASES[name]
    error = fetch_error(case.said, "the test files")
    assert type(error) is case.kind
    assert case.why in error.why
    assert error.next_step
    assert case.said.strip().splitlines()[-1].strip()[:200] in error.why
    assert is_transient(case.said) is case.transient


@settings(max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("name", CASES)
def test_nothing_around_it_hides_a_fault(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    noise = data.draw(st.lists(st.sampled_from(NOISE), min_size=1, max_size=4))
    before = "".join(f"{line}\n" for line in noise)
    for said in (before + case.said, case.said + before):
        assert type(fetch_error(said, "the test files")) is case.kind
        assert is_transient(said) is case.transient


@given(st.text())
def test_any_output_becomes_an_error_with_a_next_step(said: str) -> None:
    error = fetch_error(said, "the test files")
    assert error.next_step
    assert "the test files" in error.what


def test_what_is_of_no_known_kind_is_left_to_the_caller() -> None:
    assert known_error("Segmentation fault", "x") is None


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("pip, other digest", f"tiny==1.0 is not what was pinned: expected sha256 {ZEROS}, got "),
        (
            "apt, other digest",
            f"tinydeb_1.0_all.deb is not what was pinned: expected sha256 {ZEROS}, got {OTHER}",
        ),
        ("cargo, other digest", "tinycrate v1.0.0 is not what was pinned"),
    ],
)
def test_a_refused_file_is_named_with_its_digests(name: str, what: str) -> None:
    assert what in fetch_error(CASES[name].said, "the test files").what


def test_only_debian_is_told_of_debians_mirror() -> None:
    for name, case in CASES.items():
        if case.kind is PinnedPackageGoneError:
            told = "TOOLCHAIN_DEBIAN_MIRROR" in fetch_error(case.said, "x").next_step
            assert told is name.startswith("apt")
