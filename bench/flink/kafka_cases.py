CASES = []
def make(case, args, has_flink, base):
    return None
