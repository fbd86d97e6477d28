"""The command line: ``commands`` declares the commands; ``trials`` and the modules beside it do their work."""
