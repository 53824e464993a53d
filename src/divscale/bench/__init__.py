"""`divscale bench`: how fast every engine of the product works on this machine or cluster, and what bounds it.

`sizes` says how much work there is, `devices` what may do it, `floors` measures what the devices could do at best,
`parts/` has one file a part of the product, `formulas` the arithmetic, `result` the file, `comparing` two of them.

On a GPU none of it has run yet.
"""
