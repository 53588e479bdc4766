"""Turns results into the text that the commands print."""
