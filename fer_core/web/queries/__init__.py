"""What the pages and the API show of runs, searches and jobs, read from their files as plain values."""
