"""What can be done with a specification: run it, solve it, compile it."""
