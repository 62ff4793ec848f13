"""What a decision rests on: parts of the picture are hidden from trained models, and what they say then is compared.

Almuhayar, Lu and Iriawan saw regions outside the lungs and the black border influence their classifier. Here every
image is judged by the model of its fold, which never saw it, with one part after another hidden (occlusion sensitivity:
Zeiler and Fergus, ECCV 2014); and the share of the heatmap's evidence that lies on the lungs is set beside the share
of the picture that they cover.

``python -m training.occlusion`` measures, ``python -m training.occlusion.render`` makes ``docs/regions.md``.
"""
