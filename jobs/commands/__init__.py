"""The commands of `python -m jobs`: a small file per group. They import Celery only to send, or to ask workers."""
