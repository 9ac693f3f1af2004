"""A small learned codec for small images: a transform, what it expects, and a range coder.

In go images between 0 and 1, ``(rows, colours, height, width)``; `Codec` takes each to a latent of
one vector a block, rounds it, and says how probable each rounded number was, given those that a
decoder has by then. `encode` makes bytes of that and `decode` images of those bytes. `goals` are
the named losses that train it; `opponents` are what else there is.
"""
