"""Computes wall times: the naive local times that a schedule names, in no zone yet."""
