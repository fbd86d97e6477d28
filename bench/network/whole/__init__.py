"""Whole networks of other libraries, which stand in the slot ``whole`` in place of backbone, neck and head."""
