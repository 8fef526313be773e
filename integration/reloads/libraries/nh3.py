"""nh3>=0.2"""

import nh3


def use():
    return nh3.clean("<b>x</b><script>y</script>")
