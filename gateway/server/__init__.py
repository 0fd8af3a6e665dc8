"""What touches gunicorn: worker, response, entry of the application, sockets, tuning."""
