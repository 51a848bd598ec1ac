"""Writes docs/reference/ from the program itself, and builds the site of the documentation."""
