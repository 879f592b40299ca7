// Built from js/src.
