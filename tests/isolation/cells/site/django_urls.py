from django.http import HttpResponse
from django.template.loader import render_to_string
from django.urls import path
from shop.models import Item


def hello(request):
    request.session["word"] = request.GET["word"]
    item, _ = Item.objects.get_or_create(name="only")
    context = {"word": request.GET["word"], "item": item, "count": Item.objects.count()}
    return HttpResponse(render_to_string("shop/hello.txt", context))


urlpatterns = [path("hello/", hello)]
