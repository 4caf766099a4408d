"""Which model: what is known of it, where its files are, and how they come here.

``spec`` says what a model is, ``catalog`` holds the known ones, ``registry`` finds them by name and takes those of the
user, ``store`` brings their files. Nothing here runs a model, and nothing is imported before it is asked for.
"""
