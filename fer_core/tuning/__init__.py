"""Searches for good settings: what is searched, what was tried, and what is tried next. Keras Tuner proposes."""
