"""Class scores of frames -> segments; what predictions_json.py and localize.py share."""
