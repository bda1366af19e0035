"""The commands of ``rumormill``, a file a group: what each takes and says. What it runs on, it imports when called."""
