"""The last instants of the triggers of a page, with the reason of each that did not fire."""
