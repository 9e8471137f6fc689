"""Request and response models of triggers."""
