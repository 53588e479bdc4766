"""Runs firmwares in Renode, a second simulator that others wrote, and checks its board files."""
