"""The pages: one file per subject, each a Flask blueprint. What they show is read in `looks/`."""
