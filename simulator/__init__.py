"""A communications provider on loopback, for the demo, the tests and the benchmarks."""
