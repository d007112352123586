"""Processes and files: interrupts, leases, files written whole. It stands on the ground, and knows no thermometer."""
