"""The training server: searches, trainings, retraining and evaluation as Celery jobs over Redis. Imports nothing."""
