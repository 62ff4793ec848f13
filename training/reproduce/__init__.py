"""The paper's study, made again: variants x what is tuned x heads x starting points, cross-validated, on record.

Almuhayar, Lu and Iriawan, "Classification of Abnormality in Chest X-Ray Images by Transfer Learning of CheXNet",
ICICoS 2019. ``cells.py`` and ``plan.py`` say what is measured, ``frozen.py``, ``all_layers.py`` and
``imported_run.py`` make the predictions, ``running.py`` joins them, ``summary.py`` makes ``figures.py`` of them, and
``render.py`` makes ``docs/paper.md`` of those.
"""
