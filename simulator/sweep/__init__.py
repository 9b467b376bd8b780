"""Measuring: a configuration becomes tasks, tasks become records, records become rows."""
