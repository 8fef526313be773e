def seen():
    return ["@site@", "@release@"]
