"""Puts a checked firmware onto a board that is connected to this computer."""
