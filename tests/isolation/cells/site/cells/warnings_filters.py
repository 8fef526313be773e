import warnings

import me


def run(turn):
    # Libraries that are imported meanwhile use catch_warnings(), which is not for threads: set
    # the filter each time, and look at nothing that another's block may hide.
    warnings.filterwarnings(
        "error" if me.NAME == "one" else "ignore", message=f"cells of {me.NAME}"
    )
    patterns = {filter_[1].pattern for filter_ in warnings.filters if filter_[1]}
    ours = sorted(pattern for pattern in patterns if pattern.startswith("cells of"))
    action = next(f[0] for f in warnings.filters if f[1] and f[1].pattern == ours[0])
    return f"{ours} {action}"
