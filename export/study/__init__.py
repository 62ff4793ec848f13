"""Which way of making INT8 loses least: every scheme on the same model, range images and unseen images, on record."""
