"""National holidays, as the package `holidays` computes them, to make calendars from."""
