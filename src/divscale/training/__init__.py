"""Fine-tuning: arms through one warm DeepSpeed process group, and linear probes."""
