"""Runs in MLflow: the only home of mlflow. It stands on what it keeps, `calibration` and `studies`.

`store` finds or makes the place where runs are kept (`database`: in a folder here). `runs` starts and ends one, with
the data that it is of (`datasets`) and what made it (`provenance`); `results` and `sweeps` write what came out,
`models` the fit as a model, which runs `model_code`. `queries` reads runs back, which `search` finds; `repeats` tells
whether a run would only repeat another; `ui` knows their pages, `failures` the words for what fails.
"""
