"""The whole job against a scripted model on this machine, free and offline."""
