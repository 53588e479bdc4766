"""Builds the same things under other circumstances, and compares the bytes."""
