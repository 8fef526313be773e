from me import NAME
