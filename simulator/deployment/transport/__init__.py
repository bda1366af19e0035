"""What a node of a Flower deployment consists of: its rounds, its disk, its neighbours, its keys; nothing of Flower."""
