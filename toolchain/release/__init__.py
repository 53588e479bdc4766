"""What a release consists of: its archives, what is said of them, and how that is checked."""
