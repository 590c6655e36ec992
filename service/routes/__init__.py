"""HTTP only: read the request, call one function, answer."""
