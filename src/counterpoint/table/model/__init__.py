"""What a fit leaves: networks, what is known of them, and what an update needs of the rows.

`model` holds it together, predicts, and is one folder at rest; `network` is built from a schema,
`predictions` mixes the members' in the units of the table. For later updates it holds a Gaussian
over each network's weights (`memory`, through `observed`: rows may lack some targets), rows that
stay (`exemplars`) and the tables learnt (`history`). `jobs` makes a model folder once, however
often its process is killed.
"""
