"""Meta's Graph API through our door: which of a team's accounts a node belongs to, and the way there and back."""
