"""What people do with models while nothing is served: fetch, export, quantize."""
