"""The exact last layer: sufficient statistics, and the prior and noise of greatest evidence."""
