"""What a fit found out, as `counterpoint.findings`: measured on the rows held out.

`evaluate` fills it in, from `measures` (how good, how honest), `importance` (which columns matter),
`ignorance` (where little is known) and `describe` (the columns, the training, the embeddings).
"""
