"""The commands that ask the running daemon."""
