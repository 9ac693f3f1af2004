"""The last layer of a classifier: its optimum, the curvature there, and updates of both."""
