"""Any selection of weights: the Gaussian at the optimum, its prior, and its predictions."""
