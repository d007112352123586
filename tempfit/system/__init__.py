"""Processes and files: interrupts, leases, files written whole."""
