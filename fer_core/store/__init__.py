"""The store room: run folders, finished models and the pointer to the one in use."""
