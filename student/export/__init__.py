"""`lvlm2p export`: a trained student as a file that needs none of this project."""
