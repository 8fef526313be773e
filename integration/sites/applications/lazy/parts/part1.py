def seen():
    from helper import seen as of_helper

    return of_helper()
