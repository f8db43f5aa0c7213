"""The same requests over REST to Triton and to this server, and how their answers differ."""
