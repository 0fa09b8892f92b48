"""Images: where they come from, how they are decoded and cached, which of them train, validate and test."""
