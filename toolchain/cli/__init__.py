"""The command line: words become values, the library is called, and its results are printed.

A task parses its options, calls a module of ``toolchain.commands``, and shows what that returns by
one of ``toolchain.render``. Libraries are imported where they are used: a build with nothing to do,
and ``--list``, must not wait for what they do not need.
"""
