"""The sides of `bench_peers.py`: scripts that each run in an environment of their own and answer lines of JSON."""
