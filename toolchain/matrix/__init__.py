"""Many models on many boards: what is to be built, and the table of what came of it."""
