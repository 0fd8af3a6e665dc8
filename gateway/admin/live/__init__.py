"""What pages show live: read once for all tabs of a worker, sent to each as one stream."""
