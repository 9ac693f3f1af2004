"""What can be predicted: one file a kind of target, each with its head and its prediction.

A `Head` is what a column asks of the network: outputs, a likelihood, the way from cells to tensors
and back to the column's units. It mixes what the members predict into a `Prediction`, which writes
its columns and measures itself against what was. Nothing else in the table asks of what kind a
target is.
"""
