"""Takes what Ray's aggregator agent posts: listener, requests, splitter, quarantine, masking."""

from sidecar.receiver.receiver import Receiver

__all__ = ["Receiver"]
