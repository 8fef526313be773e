from lxml import etree


def make_schema():
    return etree.XMLSchema(
        etree.fromstring(
            "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'>"
            "<xs:element name='a'/></xs:schema>"
        )
    )


# libxml2 makes its table of built-in types with the first schema, without a lock and the GIL: with
# the import lock held no second thread can meet it half made.
make_schema()


def run(turn):
    root = etree.fromstring(f"<a><b n='{turn % 3}'/></a>")
    found = root.xpath("//b/@n")
    return f"{etree.__version__} {found[0]} {make_schema().validate(root)}"
