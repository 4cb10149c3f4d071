"""The role that repairs: it publishes, rescues and deletes what the other roles left behind."""
