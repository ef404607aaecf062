"""From a kernel to a network that has it: the inverse problem."""
