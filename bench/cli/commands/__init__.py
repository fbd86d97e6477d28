"""The commands as they are typed: arguments, help and exit statuses. The rest of the room ``cli`` does their work.

Torch and ray are imported inside the commands that need them alone, so that ``bench report`` works without both.
"""
