try:
    import cuda_ops_that_are_not_there
except ImportError:

    def squash(x):
        return x * 1.0
