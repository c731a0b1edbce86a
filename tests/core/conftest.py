from hypothesis import settings

# A busy machine makes single examples slow, and that says nothing about the code.
settings.register_profile("core", deadline=None)
settings.load_profile("core")
