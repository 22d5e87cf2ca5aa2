"""What people run beside the worker."""
