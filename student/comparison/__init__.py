"""`lvlm2p compare`: learning curves of several runs and what they say."""
