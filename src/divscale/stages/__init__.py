"""The glue: one short file a stage, its configuration, its inputs, its run. The only room that knows all rooms."""
