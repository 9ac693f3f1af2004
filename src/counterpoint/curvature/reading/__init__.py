"""How weights are used in a forward pass, and what that makes of directions at the output."""
