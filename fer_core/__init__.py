"""Facial emotion recognition: data, networks, training, evaluation and live reading. Importing it imports nothing."""
