"""Networks and weights from others: files that other programs write."""
