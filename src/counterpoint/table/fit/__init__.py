"""From a parsed table to a fitted model.

`prepare` divides the rows (`split`), lets the columns learn from those to train on and encodes all;
`losses` and `luna` say what a network is trained to do; `fit` trains the members, asks what is
known of their weights (`counterpoint.table.uncertainty`) and has the model measured
(`counterpoint.table.evaluate._evaluate`).
"""
