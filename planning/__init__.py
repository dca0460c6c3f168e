"""A data set -> settings for it: what is measured of it, what follows by rules, what folds decide; plan.py's own."""
