"""Where checkpoints are: files, folders, manifests, runs and archives, told by what they hold."""
