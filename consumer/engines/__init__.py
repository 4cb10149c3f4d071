"""The engines of a consumer, as processes that it starts, asks, watches and ends."""
