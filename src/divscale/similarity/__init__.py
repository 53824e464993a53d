"""All-pairs work on vectors: kernels on tiles, streaming reductions over them, exact neighbours.

Nothing here ever holds N x N. `engine` walks the tiles of the pairwise kernel matrix and hands each to `reductions`
that keep O(N); `panels` are for what needs whole rows; `neighbours`, `range_search`, `clustering` and `ivf` are FAISS;
`sharded` spreads a pass over Ray; `reference` is the float64 specification the tests hold everything to. This package
imports nothing heavy by itself.
"""
