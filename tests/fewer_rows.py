"""Overrides of tests/studies/smoke.yaml: a third of its rows, so that less of a run is embedding."""

FEWER_ROWS = ["data.labels=[decimal,http,mailbox,tarfile,unittest,urllib]", "measure.n=16"]
