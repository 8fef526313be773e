def run(turn):
    import lazily.first
    from lazily import second
    from lazily.second import NAME as third

    return f"{lazily.first.NAME} {second.NAME} {third}"
