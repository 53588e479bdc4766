"""Addresses of remote services, and what options and environment say of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import UsageError
from toolchain.remote.endpoint import Endpoint, parse_endpoint
from toolchain.remote.settings import (
    CACHE_VARIABLE,
    EXECUTOR_VARIABLE,
    PLAINTEXT_VARIABLE,
    TOKEN_VARIABLE,
    Credentials,
    chosen_remote,
)

_NAME = st.from_regex(r"[a-z][a-z0-9]{0,10}(\.[a-z][a-z0-9]{0,5})?", fullmatch=True)
_INSTANCE = st.sampled_from(["", "main", "team/a", "x.y_z-1"])


@given(_NAME, st.integers(1, 65535), st.booleans(), _INSTANCE)
def test_an_address_is_read_as_it_is_written(
    host: str, port: int, tls: bool, instance: str
) -> None:
    endpoint = Endpoint(host, port, tls, instance)
    assert parse_endpoint(str(endpoint), "--remote-cache") == endpoint


@given(st.text(max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text, "--remote-cache")
    except UsageError:
        return
    assert parse_endpoint(str(endpoint), "again") == endpoint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://127.0.0.1:80", "does not begin"),
        ("grpc://127.0.0.1", "no port"),
        ("grpc://127.0.0.1:99999", "Port out of range"),
        ("grpc://:50051", "no host"),
        ("grpc://user:secret@host:1", "a token is given in a file"),
        ("grpc://host:1/a b", "no part of a name"),
        ("grpc://host:1/team/blobs", "cannot be called 'blobs'"),
        ("grpc://host:1/main?x=1", "more than host"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_endpoint(text, "--remote-executor")
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("192.0.2.1", False),
        ("example.org", False),
    ],
)
def test_this_machine_is_told_from_others(host: str, loopback: bool) -> None:
    assert Endpoint(host, 1, tls=False).is_loopback == loopback


def test_an_address_of_version_6_keeps_its_brackets() -> None:
    endpoint = parse_endpoint("grpc://[::1]:50051", "x")
    assert (endpoint.host, endpoint.target) == ("::1", "[::1]:50051")
    assert str(endpoint) == "grpc://[::1]:50051"


def test_nothing_said_is_nothing_used() -> None:
    choice = chosen_remote(environ={})
    assert not choice
    assert choice.credentials == Credentials()


def test_options_come_before_variables(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    environ = {
        CACHE_VARIABLE: "grpc://127.0.0.1:1",
        EXECUTOR_VARIABLE: "grpc://127.0.0.1:2/main",
        TOKEN_VARIABLE: str(token),
    }
    choice = chosen_remote(environ=environ)
    assert (str(choice.cache), str(choice.executor)) == (
        "grpc://127.0.0.1:1",
        "grpc://127.0.0.1:2/main",
    )
    assert choice.credentials.token_file == token
    choice = chosen_remote(cache="grpc://127.0.0.1:3", executor="none", environ=environ)
    assert str(choice.cache) == "grpc://127.0.0.1:3"
    assert choice.executor is None


def test_an_executors_cache_is_used_where_no_other_is_named() -> None:
    choice = chosen_remote(executor="grpc://127.0.0.1:2", environ={})
    assert choice.cache == choice.executor


@pytest.mark.parametrize("by_option", [False, True])
def test_an_executor_can_be_used_without_its_cache(by_option: bool) -> None:
    choice = chosen_remote(
        cache="none" if by_option else "",
        executor="grpc://127.0.0.1:2",
        environ={CACHE_VARIABLE: "grpc://127.0.0.1:1" if by_option else "none"},
    )
    assert choice.cache is None
    assert str(choice.executor) == "grpc://127.0.0.1:2"


def test_nothing_is_sent_to_others_in_plain_text_unless_told_so() -> None:
    with pytest.raises(UsageError) as caught:
        chosen_remote(cache="grpc://192.0.2.7:1", environ={})
    assert "grpcs://192.0.2.7:1" in caught.value.next_step
    trusted = {PLAINTEXT_VARIABLE: "1"}
    assert chosen_remote(cache="grpc://192.0.2.7:1", environ=trusted).cache is not None
    assert chosen_remote(cache="grpcs://192.0.2.7:1", environ={}).cache is not None


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which is no file"):
        chosen_remote(
            cache="grpc://127.0.0.1:1", token_file=str(tmp_path / "none here"), environ={}
        )
