"""What cells.mock_patch changes: nobody else looks at it."""

import me

VALUE = 1


class Patched:
    owner = me.NAME
