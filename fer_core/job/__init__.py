"""Jobs as everybody sees them: what may be asked for, where it stands, who works on it. Celery's side is in `jobs/`."""
