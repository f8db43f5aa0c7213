"""The life of one process of a server, whichever transport it has."""
