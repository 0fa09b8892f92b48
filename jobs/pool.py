"""Celery's pool of processes, but that one which dies while its worker starts is replaced, like any that dies later."""

from celery.concurrency import prefork


class TaskPool(prefork.TaskPool):
    """`app.conf.worker_pool` names it."""

    def did_start_ok(self) -> bool:
        """Returns True: Celery would end the worker, which then looks as if it could not start."""
        return True
