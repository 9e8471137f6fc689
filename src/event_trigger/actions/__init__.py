"""Applies one action to many triggers or deliveries, in one transaction."""
