"""What talking with an engine through the Docker SDK may raise."""

from __future__ import annotations


def sdk_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a call, and of reading what it streams.

    The SDK wraps what goes wrong with a call. A stream that breaks off, as a build's does when the
    engine ends, gives what urllib3 raises.
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    return (DockerException, RequestException, HTTPError)
