"""Compares what a firmware computed with what its model computes."""
