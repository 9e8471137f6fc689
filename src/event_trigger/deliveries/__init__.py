"""An event on its way to a webhook: at least once, signed, and fair to every destination."""
