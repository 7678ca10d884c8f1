"""The Codegen API's rate limits: token buckets, permits for single calls, and the launch queue."""
