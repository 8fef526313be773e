class Thing:
    def __init__(self):
        self.made_by = ["@site@", "@release@"]

    def seen(self):
        return ["@site@", "@release@"]
