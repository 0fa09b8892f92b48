"""Scores, their plots and their words. Imports nothing by itself."""
