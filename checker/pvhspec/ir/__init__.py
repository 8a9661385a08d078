"""The small printable form of a specification, the only one a backend is given."""
