"""`lvlm2p reproduce`: the figures and tables of the papers, each by one command."""
