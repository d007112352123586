"""Long-running services: Prefect's server, what `tempfit up` supervises, schedules."""
