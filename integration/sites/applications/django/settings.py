from pathlib import Path

SEEN = ["@site@", "@release@"]
SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "pages.urls"
MIDDLEWARE = []
INSTALLED_APPS = ["django.contrib.contenttypes", "pages"]
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [], "OPTIONS": {}}
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
BASE_DIR = Path(__file__).parent
