"""What each command does, without parsing options and without printing results."""
