"""Beyond this machine: action cache and execution of a Remote Execution API v2 service; a worker.

Only ``endpoint`` and ``settings`` can be imported with what every build has; the
others need ``requirements-remote.lock``, which ``toolchain.extra_packages`` installs.
"""
