"""The processes that serve: one, or workers that a supervisor forks, watches and replaces."""
