"""`lvlm2p label`: states labelled ahead of time, in this process or on Ray."""
