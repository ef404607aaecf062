SEARCHES = {}


def best_signs(*a): ...
def signs_from(asked, made):
    return [1 if asked[k % len(asked)] == "+" else -1 for k in range(len(made))], asked
