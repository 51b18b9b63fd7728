"""Takes what Ray's aggregator agent posts: listener, request, splitter, quarantine, masking."""
