"""lxml>=4.9
lxml>=6
"""

from lxml import etree, html


class Special(etree.ElementBase):
    pass


def use():
    tree = etree.fromstring("<a><b c='d'>e</b></a>")
    try:
        etree.fromstring("<a>")
    except etree.XMLSyntaxError as error:
        said = error.position
    lookup = etree.ElementDefaultClassLookup(element=Special)
    parser = etree.XMLParser()
    parser.set_element_class_lookup(lookup)
    assert type(etree.fromstring("<a/>", parser)) is Special
    page = html.fromstring("<p>x<i>y</i></p>")
    return f"{tree.xpath('//b/@c')} {page.text_content()} {said}"
