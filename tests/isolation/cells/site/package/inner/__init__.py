import me

NAME = me.NAME
