"""Compares what is pinned with what is offered today, and takes that."""
