"""`lvlm2p play`: films of a student's episodes."""
