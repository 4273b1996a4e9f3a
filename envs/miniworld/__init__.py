"""Tasks in 3D, seen through a first-person camera, on the simulator MiniWorld (extra ``3d``)."""
