"""`lvlm2p sweep`: many training runs from one file, into one folder."""
