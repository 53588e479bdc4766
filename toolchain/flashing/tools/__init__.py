"""One module for each ``tool`` of a board's ``[[flashing]]`` tables, found by that name."""
