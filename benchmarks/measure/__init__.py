"""What the benchmarks share: volumes, loaders, the memory sampler, floors and the table."""
