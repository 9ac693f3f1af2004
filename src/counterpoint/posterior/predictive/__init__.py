"""What is predicted: numbers, classes and counts, noise and knowledge apart."""
