from lxml import etree


def run(turn):
    root = etree.fromstring(f"<a><b n='{turn % 3}'/></a>")
    found = root.xpath("//b/@n")
    schema = etree.XMLSchema(
        etree.fromstring(
            "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'>"
            "<xs:element name='a'/></xs:schema>"
        )
    )
    return f"{etree.__version__} {found[0]} {schema.validate(root)}"
