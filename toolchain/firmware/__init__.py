"""What is known of a firmware before and after the compiler made it."""
