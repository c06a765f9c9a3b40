"""The batch job: many checkpoints into one store, resumable, in processes, shards or with Dask.

`score_job` is the way in. `units` cuts the files into pieces of work, `genpredict.engine` or
`dask_engine` or one shard (`sharding`) measures them, `spool` keeps their rows until their turn,
`genpredict.store.writing` puts rows into the store in order, and `genpredict.store.ledger`
remembers which files it has taken.
`cache` unpacks archives once for all; `merge` joins stores that were made apart.
"""
