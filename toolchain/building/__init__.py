"""Makes checked firmwares of what steps linked, and puts them where the user looks."""
