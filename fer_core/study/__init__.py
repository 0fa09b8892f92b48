"""Studies: any number of pictures and videos, read by several processes, and what came of them as tables."""
