"""Changed and made models against the verifier, and against the interpreter with sanitizers."""

COUNT_VARIABLE = "FUZZ_MUTANTS"
SEED_VARIABLE = "FUZZ_SEED"
FIRST_VARIABLE = "FUZZ_FIRST"
KEEP_VARIABLE = "FUZZ_KEEP"
"""With what ``python -m tests.fuzz`` tells the test how far to go."""
