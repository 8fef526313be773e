raise RuntimeError("this release of @site@ is broken")
