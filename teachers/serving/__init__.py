"""`lvlm2p serve`: vLLM started with the right flags."""
