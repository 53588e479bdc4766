"""Tells what a firmware's bytes are for, down to its symbols, and what changed since another."""
