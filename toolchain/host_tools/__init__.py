"""Tools and sources on this machine that stand in the place of an image."""
