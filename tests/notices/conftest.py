"""Lets the service call loopback and retry quickly, and runs a receiver there."""

from tests.deliveries.conftest import receiver, service_settings

__all__ = ["receiver", "service_settings"]
