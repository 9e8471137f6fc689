"""What should happen when, or who may make it happen."""
