"""The command line: ``commands`` declares the commands, and the modules beside it do their work."""
