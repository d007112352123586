"""Runs in MLflow: the only home of mlflow.

`store` finds or makes the place where runs are kept, `runs` writes one, `queries` reads
them back, `ui` knows their pages, `model_code` is what a logged model runs.
"""
