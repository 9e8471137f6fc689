"""Pauses, resumes, deletes, fires, tags and rewires many triggers at once."""
