"""Timings of the commands, each beside a peer in the same run; no test looks at them."""
