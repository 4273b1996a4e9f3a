"""`lvlm2p play`: animations of a student's episodes."""
