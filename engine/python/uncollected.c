/* Making many objects of which none can be garbage, as the rows of a large answer: Python's collector would look at them
 * again and again while they are made.
 *
 * It is off between two points in C. No Python code runs between them, unless the function that is called runs some, and
 * the global lock stays with this thread; so nobody else sees it off, or switches it meanwhile. */
#include "engine/python/short.h"

PyObject *uncollected(PyObject *self, PyObject *const *arguments, Py_ssize_t n)
{
    (void)self;
    if (n != 2) {
        PyErr_SetString(PyExc_TypeError, "uncollected() takes a function and its argument");
        return NULL;
    }
    int collects = PyGC_Disable();
    PyObject *made = PyObject_CallFunctionObjArgs(arguments[0], arguments[1], NULL);
    if (collects)
        PyGC_Enable();
    return made;
}
