"""Other model servers, each as its documentation advises, in virtual environments of their own."""
