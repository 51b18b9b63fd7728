"""Names of functions and classes as Ray prints them."""

from server.fold.events import Function


def function_name(function: Function | None) -> str | None:
    """Ray's `func_or_class_name`: class and function, each without what stands before its last dot."""
    if function is None:
        return None
    if (python := function.python_function_descriptor) is not None:
        name = python.function_name.rpartition(".")[2]
        return f"{python.class_name.rpartition('.')[2]}.{name}" if python.class_name else name
    if (java := function.java_function_descriptor) is not None:
        return f"{java.class_name}.{java.function_name}" if java.class_name else java.function_name
    return function.cpp_function_descriptor.function_name if function.cpp_function_descriptor else None
